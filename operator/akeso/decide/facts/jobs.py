"""Facts about Jobs and their CronJobs."""

from __future__ import annotations

from collections.abc import Iterator

from akeso.decide.facts.view import View, condition, condition_is, fact, notes_of, owned_by, path_of, top_owner, when
from akeso.model.evidence import Fact
from akeso.model.objects import Object, controller_of, dig


def facts(view: View) -> Iterator[Fact]:
    job = _job(view)
    if job is not None:
        failed = condition_is(job, "Failed")
        yield fact("job", path_of(job), path_of(job))
        if failed is not None or dig(job, "status") is not None:
            yield fact("job_failed", failed is True, f"{path_of(job)} .status.conditions[Failed]")
        if failed:
            reason = str(dig(condition(job, "Failed"), "reason", default=""))
            yield fact("job_failure_reason", reason, f"{path_of(job)} .status.conditions[Failed].reason")
        safe = any(key.rpartition("/")[2] == "retry-safe" and value == "true" for key, value in notes_of(job).items())
        yield fact("job_retry_safe", safe, f"{path_of(job)} .metadata.annotations")
    if view.workload is not None and view.workload.get("kind") == "CronJob":
        yield from _cron(view, view.workload, job)


def _job(view: View) -> Object | None:
    if view.target is None or view.workload is None or view.workload.get("kind") not in ("Job", "CronJob"):
        return None
    if view.target.get("kind") == "Job":
        return view.target
    owner = controller_of(view.target)
    if owner is None or owner.get("kind") != "Job":
        return None
    return next((j for j in view.snapshot.of_kind("Job") if owned_by(view.target, j)), None)


def _cron(view: View, cron: Object, job: Object | None) -> Iterator[Fact]:
    yield fact(
        "cronjob_suspended", dig(cron, "spec", "suspend", default=False) is True, f"{path_of(cron)} .spec.suspend"
    )
    jobs = [j for j in view.snapshot.of_kind("Job") if top_owner(view.snapshot, j) is cron]
    dated = sorted(
        ((t, j) for j in jobs if (t := when(j, "metadata", "creationTimestamp"))), key=lambda pair: pair[0]
    )
    ended = [(t, j) for t, j in dated if condition_is(j, "Complete") or condition_is(j, "Failed")]
    row = 0
    for _, j in reversed(ended):
        if not condition_is(j, "Failed"):
            break
        row += 1
    yield fact("cronjob_failures_in_row", row, f"Jobs of {path_of(cron)}")
    made = when(job, "metadata", "creationTimestamp")
    if made is not None:
        later = any(t > made and condition_is(j, "Complete") for t, j in ended)
        yield fact("job_superseded", later, f"Jobs of {path_of(cron)}")
