"""From a snapshot to facts: pure, total (hostile shapes included) and deterministic."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from akeso.decide.facts import (
    alerts,
    dependency,
    history,
    hpa,
    jobs,
    load,
    metrics,
    network,
    nodes,
    pods,
    rollout,
    scheduling,
    storage,
    workload,
)
from akeso.decide.facts.catalogue import DEPENDENCY_PREFIX
from akeso.decide.facts.view import View, fact, indexed, look, path_of
from akeso.model.evidence import Fact, Facts, Series, Snapshot
from akeso.model.objects import Object

Part = Callable[[View], Iterable[Fact]]

ABOUT_WORKLOAD: Final[Sequence[Part]] = (
    workload.facts, pods.facts, rollout.facts, scheduling.facts, load.facts, metrics.facts, hpa.facts, jobs.facts,
    storage.facts, network.facts, history.facts, dependency.facts,
)
ONCE: Final[Sequence[Part]] = (alerts.facts, nodes.facts)


def extract(snapshot: Snapshot) -> Facts:
    """The facts of a snapshot by name, in alphabetical order. What cannot be known is absent."""
    view = look(indexed(
        snapshot, [_shaped(o) for o in snapshot.objects], [_labelled(s) for s in snapshot.series]))
    found = _collect(view, ONCE) | _collect(view, ABOUT_WORKLOAD)
    if snapshot.target is not None and view.target is not None:
        found["target_kind"] = fact("target_kind", snapshot.target.kind.kind, "the alert's labels")
    found |= _about_dependency(view)
    return {name: found[name] for name in sorted(found)}


def _shaped(obj: Object) -> Object:
    """The object, without parts that are no mappings though the API says so: frozen files may hold anything."""
    wrong = [k for k in ("metadata", "spec", "status") if k in obj and not isinstance(obj[k], Mapping)]
    shaped = {k: v for k, v in obj.items() if k not in wrong} if wrong else obj
    meta = shaped.get("metadata", {})
    odd = [k for k in ("labels", "annotations") if k in meta and not isinstance(meta[k], Mapping)]
    return {**shaped, "metadata": {k: v for k, v in meta.items() if k not in odd}} if odd else shaped


_OTHER_LABELS: Final = (
    ("pod", ("exported_pod", "pod_name")), ("namespace", ("exported_namespace", "pod_namespace")),
    ("container", ("exported_container", "container_name")),
)


def _labelled(series: Series) -> Series:
    """The series under the label names of today's kubelet: others speak of `pod_name`, or of an exporter's own pod."""
    other = {
        name: series.labels[key]
        for name, keys in _OTHER_LABELS
        for key in keys
        if series.labels.get(key) and (key.startswith("exported_") or not series.labels.get(name))
    }
    if "pod_name" in series.labels and "pod_namespace" in series.labels:
        other |= {"pod": series.labels["pod_name"], "namespace": series.labels["pod_namespace"]}
    return Series({**series.labels, **other}, series.values) if other else series


def _collect(view: View, parts: Sequence[Part]) -> dict[str, Fact]:
    found: dict[str, Fact] = {}
    for part in parts:
        for one in part(view):
            found.setdefault(one.name, one)
    return found


def _about_dependency(view: View, depth: int = 3) -> dict[str, Fact]:
    """Facts about the component at the end of the chain of components that are down."""
    role = ""
    start = view
    for _ in range(depth):
        found = dependency.find(view)
        if found is None:
            break
        view, role = view.seen_from(found[0]), found[1]
    if view is start:
        return {}
    about = _collect(view, ABOUT_WORKLOAD)
    named = {DEPENDENCY_PREFIX + n: replace(f, name=DEPENDENCY_PREFIX + n) for n, f in about.items()}
    named["dependency"] = fact("dependency", path_of(view.workload), path_of(view.workload))
    named["dependency_role"] = fact("dependency_role", role, "where the target names it")
    return named
