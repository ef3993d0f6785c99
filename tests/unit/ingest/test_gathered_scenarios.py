"""What is gathered live is enough: over every frozen scenario the gathered part decides as the whole snapshot does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from akeso.decide import rules
from akeso.decide.facts.extract import extract
from akeso.engine import evaluate, scenario
from akeso.ingest.evidence import gather
from akeso.ingest.frozen import FrozenCluster, FrozenMetrics, series_from
from akeso.ingest.targets import resolve
from akeso.model.objects import dig

PATHS = sorted((Path(__file__).parents[2] / "scenarios").rglob("scenario.yaml"))
REMEDIES = evaluate.registered()


def as_scraped(raw: scenario.Raw) -> list[dict[str, Any]]:
    """The series with the label `node` that kube-prometheus puts on what it scrapes from a kubelet."""
    pods = [o for o in raw.get("objects") or () if o["kind"] == "Pod"]
    nodes = {dig(p, "metadata", "name"): dig(p, "spec", "nodeName") for p in pods}
    found = []
    for one in raw.get("series") or ():
        node = nodes.get(one["metric"].get("pod"))
        found.append({**one, "metric": {**one["metric"], **({"node": node} if node else {})}})
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.parent.name)
async def test_the_gathered_evidence_decides_as_the_whole_cluster_would(path: Path) -> None:
    raw = scenario.read(path)
    whole = await scenario.build(raw)
    reader = FrozenCluster(raw.get("objects") or (), raw.get("events") or (), raw.get("logs"))
    metrics = FrozenMetrics(series_from(as_scraped(raw)), whole.snapshot.now)
    found = await resolve(whole.snapshot.alert, reader)
    seen = await gather(
        whole.snapshot.alerts, found, reader, metrics, whole.snapshot.history, whole.snapshot.now)
    candidates = whole.candidates or REMEDIES
    chosen = rules.choose(extract(seen), candidates)
    wanted = rules.choose(extract(whole.snapshot), candidates)
    assert (chosen.action, chosen.target) == (wanted.action, wanted.target), chosen.message


def test_the_scenarios_are_there() -> None:
    assert len(PATHS) >= 30
