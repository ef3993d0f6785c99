"""What would happen: the same modules as a real run, and nothing written."""
from __future__ import annotations

from tests.unit.engine.rig import SCALE, Rig, spec

from akeso.engine.simulate import Finding, simulate
from akeso.model.run import RunPhase
from akeso.testing import builders


def said(findings: list[Finding], kind: str) -> str:
    return "\n".join(f.message for f in findings if f.kind == kind)


async def test_a_remedy_is_shown_with_its_gates_and_its_diff_and_nothing_is_written() -> None:
    rig = Rig()
    rig.define()
    findings = await simulate(rig.services, rig.alert)
    assert "would scale Deployment/web from 2 to 4 replicas" in said(findings, "plan")
    assert "+  replicas: 4" in said(findings, "plan")
    assert said(findings, "gate").count("passes") == said(findings, "gate").count("\n") + 1
    assert all(f.ok for f in findings)
    assert rig.cluster.server.writes == []
    assert await rig.store.unshown(10) == []


async def test_every_gate_that_would_refuse_is_shown() -> None:
    rig = Rig()
    rig.define()
    rig.cluster.change("namespaces", "", "shop", lambda n: n["metadata"]["labels"].update(
        {"akeso.dev/managed": "false", "akeso.dev/paused": "true"}))
    findings = await simulate(rig.services, rig.alert)
    refusing = [f.message.partition(":")[0] for f in findings if f.kind == "gate" and not f.ok]
    assert refusing[:2] == ["not_paused", "opted_in"]


async def test_an_alert_that_nothing_matches_says_what_to_compare() -> None:
    [finding] = await simulate(Rig().services, builders.alert())
    assert not finding.ok
    assert "kubectl get akwf -A" in finding.message


async def test_a_target_that_is_not_there_is_said() -> None:
    rig = Rig()
    rig.define()
    findings = await simulate(rig.services, builders.alert(labels={"deployment": "gone"}))
    assert not findings[-1].ok


async def test_a_run_that_holds_the_target_is_shown() -> None:
    rig = Rig()
    rig.define()
    await rig.fire()
    await rig.go(until=RunPhase.VERIFYING)
    findings = await simulate(rig.services, builders.alert(labels=dict(rig.alert.labels), fingerprint="f2"))
    assert "is working on Deployment/web" in said(findings, "gate")


async def test_a_step_that_needs_nothing_or_cannot_be_done_is_said() -> None:
    rig = Rig()
    rig.define(spec({**SCALE, "action": {"name": "scale_deployment", "with": {"replicas": 2}}},
                    {"name": "more", "action": {"name": "scale_deployment", "with": {"replicas": 9}}}))
    findings = await simulate(rig.services, rig.alert)
    assert "already so" in said(findings, "plan")
    assert "more: refused" in said(findings, "plan")
