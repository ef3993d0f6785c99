"""The first move: find the object behind the alert and gather the evidence, once."""
from __future__ import annotations

from collections.abc import Mapping

from akeso import failpoints
from akeso.engine.advance import in_order
from akeso.engine.case import Case, Wait
from akeso.engine.finish import Story, end
from akeso.model.names import Reason
from akeso.model.run import RunPhase, StepRecord, StoryLine
from akeso.record import codec

_TELLING = (  # the facts that a person would look at first; the others are in the database
    "failure_modes", "waiting_reason", "crash_reason", "crash_exit_code", "oom_kills", "pull_failure",
    "rollout_age_seconds",
    "only_new_revision_fails", "ready_replicas", "desired_replicas", "node_ready", "memory_limit_bytes", "job_failure")


async def begin(case: Case) -> Wait | None:
    """Resolve, gather, commit. Ends the run where the alert points at nothing."""
    resolution = await case.gather()
    alert = case.seen.alert
    story: list[Story] = [StoryLine(
        case.run.created_at, "alert", Reason.ALERT_MATCHED,  # when it was received, not when a worker got to it
        f"{alert.name} firing since {alert.starts_at:%H:%M:%S} ({_labels(alert.labels)}); "
        f"Workflow {case.run.workflow['name']}, trigger {case.run.trigger}")]
    steps = [StepRecord(s.name) for s in (*in_order(case.spec.steps), *in_order(case.spec.finally_))]
    if resolution.target is None:
        story.append(("target", resolution.reason, resolution.message))
        await end(case, RunPhase.ESCALATED, resolution.reason, resolution.message, *steps, story=story,
                  started_at=case.now)
        return None
    chain = " <- ".join(str(r) for r in resolution.chain)
    where = resolution.target.namespace or "the cluster"
    story.append(("target", Reason.ALERT_MATCHED, f"{resolution.target} in {where}, found by {chain}"))
    story.append(("evidence", Reason.ANSWERED, _evidence_line(case)))
    await case.services.store.save_evidence(
        case.run.id, case.facts, codec.dumps({"missing": dict(case.seen.missing)}))
    await case.commit(*steps, story=story, started_at=case.now, phase=RunPhase.RUNNING, target=resolution.target)
    failpoints.reach("after-evidence")
    return None


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{k}={v}"[:80] for k, v in sorted(labels.items()) if k != "alertname")[:400]


def _evidence_line(case: Case) -> str:
    shown = [f"{name}={_short(case.facts[name].value)}" for name in _TELLING if name in case.facts]
    missing = f"; not readable: {', '.join(case.seen.missing)}" if case.seen.missing else ""
    return f"{len(case.facts)} facts, among them {', '.join(shown) or 'none of the usual ones'}{missing}"


def _short(value: object) -> str:
    return str(value)[:60]
