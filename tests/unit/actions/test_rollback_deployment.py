"""rollback_deployment: back to a revision that is known to have worked, and only where the present one fails."""
from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.actions.applying import (
    applied,
    assert_survives,
    assert_undo_restores,
    change_of,
    plan,
    refusal,
    verification,
)

from akeso.sdk.action import Context
from akeso.testing.builders import (
    NOW,
    alert,
    condition,
    container,
    context,
    deployment,
    pod,
    replicaset,
    terminated,
    waiting,
)
from akeso_actions.rollback_deployment import RollbackDeployment

ACTION = RollbackDeployment()
GOOD, BAD = [container(image="web:1")], [container(image="web:2")]


def stuck(**more: Any) -> list[dict[str, Any]]:
    """Revision 3 crash-loops, revision 2 still has two ready pods, revision 1 was scaled away."""
    web = deployment(revision=3, containers=BAD, ready=2, updated=1, **more)
    new, old = replicaset(web, replicas=1, ready=0, minutes_old=10), replicaset(web, revision=2, containers=GOOD)
    oldest = replicaset(web, revision=1, containers=[container(image="web:0")], replicas=0)
    return [web, new, old, oldest, pod(new, ready=False, restarts=5, state=waiting()), pod(old, "1"), pod(old, "2")]


def gone(status: str, minutes: float, *, alerted: float = 5, **kwargs: Any) -> Context:
    """Recreate: revision 2 came 10 minutes ago, no pod of revision 1 is left; Available is `status` for `minutes`."""
    said = [condition("Available", status, minutes=minutes), condition("Progressing", "True", "ReplicaSetUpdated")]
    web = deployment(revision=2, containers=BAD, ready=0, strategy={"type": "Recreate"}, conditions=said)
    new = replicaset(web, ready=0, minutes_old=10, **kwargs)
    old = replicaset(web, revision=1, containers=GOOD, replicas=0)
    return context(web, new, old, pod(new, ready=False, restarts=5, state=waiting()), alerts=[alert(minutes=alerted)])


def test_the_newest_earlier_revision_with_ready_pods_is_chosen() -> None:
    change = change_of(ACTION, context(*stuck()))
    assert [op["path"] for op in change.patch] == ["/spec/template"]
    assert change.patch[0]["value"]["spec"]["containers"][0]["image"] == "web:1"
    assert "from revision 3 to 2 (web:1)" in change.summary


def test_the_label_of_the_replicaset_is_stripped() -> None:
    change = change_of(ACTION, context(*stuck()))
    assert change.patch[0]["value"]["metadata"]["labels"] == {"app": "web"}


def test_undo_restores_the_template_exactly() -> None:
    web, *rest = stuck()
    assert_undo_restores(ACTION, web, change_of(ACTION, context(web, *rest)))


def test_a_template_that_was_changed_since_is_not_undone() -> None:
    web, *rest = stuck()
    change = change_of(ACTION, context(web, *rest))
    now = applied(web, change)
    now["spec"]["template"]["spec"]["containers"][0]["image"] = "web:3"
    assert ACTION.undo(web, now, change) is None


def test_a_revision_that_was_skipped_over_is_not_taken_without_proof() -> None:
    """Revision 2 was bad as well: only revision 1 still has ready pods."""
    web = deployment(revision=3, containers=BAD, ready=2, updated=1)
    new, worse, good = (
        replicaset(web, replicas=1, ready=0), replicaset(web, revision=2, replicas=1, ready=0),
        replicaset(web, revision=1, containers=GOOD),
    )
    change = change_of(ACTION, context(web, new, worse, good, pod(new, ready=False)))
    assert "to 1 (web:1)" in change.summary


@pytest.mark.parametrize(("status", "minutes"), [("False", 9), ("True", 60)])
def test_the_revision_before_is_proven_by_availability_when_the_present_one_came(status: str, minutes: float) -> None:
    assert "from revision 2 to 1" in change_of(ACTION, gone(status, minutes)).summary


@pytest.mark.parametrize("ctx", [
    gone("False", 30),                    # it was unavailable before the present revision came
    gone("True", 5),                      # it became available only with the present one
    gone("False", 9, alerted=20),         # the alert is older than the present revision
    gone("False", 9, annotations={"deployment.kubernetes.io/revision-history": "1"}),  # a ReplicaSet used again
])
def test_without_proof_it_refuses(ctx: Context) -> None:
    assert "nothing proves" in refusal(ACTION, ctx)


def test_a_revision_named_by_a_person_needs_no_proof() -> None:
    assert "to 1" in change_of(ACTION, gone("False", 30), toRevision=1).summary
    assert "to 1 (web:0)" in change_of(ACTION, context(*stuck()), toRevision=1).summary


def test_a_named_revision_must_exist_and_be_earlier() -> None:
    assert "not among the earlier ones that are kept: 2, 1" in refusal(ACTION, context(*stuck()), toRevision=3)
    assert "revision 9" in refusal(ACTION, context(*stuck()), toRevision=9)


def test_without_an_earlier_revision_it_refuses() -> None:
    web = deployment(ready=0)
    new = replicaset(web, ready=0)
    assert "no earlier revision is kept" in refusal(ACTION, context(web, new, pod(new, ready=False)))


def test_replicasets_of_a_namesake_do_not_count() -> None:
    objects = stuck()
    for rs in objects[2:4]:
        rs["metadata"]["ownerReferences"][0]["uid"] = "another"
    assert "no earlier revision is kept" in refusal(ACTION, context(*objects))


def test_a_present_revision_that_works_is_not_rolled_back() -> None:
    web = deployment(revision=2)
    new, old = replicaset(web), replicaset(web, revision=1, replicas=1)
    assert "it is not what fails" in refusal(ACTION, context(web, new, old, pod(new, "1"), pod(new, "2")))
    assert "it is not what fails" in refusal(ACTION, context(web, new, old))


def test_a_pod_that_is_ready_between_two_crashes_counts_as_failing() -> None:
    web, new, old, oldest, _, *rest = stuck()
    between = pod(new, ready=True, restarts=5, last_state=terminated())
    assert change_of(ACTION, context(web, new, old, oldest, between, *rest))


@pytest.mark.parametrize(("more", "words"), [
    ({"paused": True}, "paused"), ({"observed": 1}, "newest spec"), ({"replicas": 0}, "scaled to 0"),
])
def test_it_refuses(more: dict[str, Any], words: str) -> None:
    assert words in refusal(ACTION, context(*stuck(**more)))


def test_it_refuses_where_the_present_replicaset_is_not_known() -> None:
    web, _, *rest = stuck()
    assert "was not found" in refusal(ACTION, context(web, *rest))


def test_a_template_that_is_the_same_already_is_already_so() -> None:
    web, new, old, *rest = stuck()
    web["spec"]["template"]["spec"]["containers"] = GOOD
    assert plan(ACTION, context(web, new, old, *rest)) is None


def test_a_replicaset_without_template_is_refused() -> None:
    web, new, old, *rest = stuck()
    old["spec"]["template"] = {}
    assert "holds no pod template" in refusal(ACTION, context(web, new, old, *rest))


def test_it_is_healthy_once_the_old_template_is_rolled_out() -> None:
    web, *_ = stuck()
    assert verification(ACTION, web, deployment(generation=4, revision=4))[0] == "Healthy"


def test_the_deadline_that_the_bad_revision_passed_does_not_condemn_the_rollback() -> None:
    late = [condition("Progressing", "False", "ProgressDeadlineExceeded")]
    web, *_ = stuck(conditions=late)
    now = deployment(generation=4, revision=4, ready=1, conditions=late)
    assert verification(ACTION, web, now)[0] == "Pending"


def test_a_rollback_whose_pods_crash_too_is_unhealthy() -> None:
    web, *_ = stuck()
    now = deployment(generation=4, revision=4, ready=1)
    back = replicaset(now)
    assert verification(ACTION, web, now, back, pod(back, ready=False, restarts=3, state=waiting()))[0] == "Unhealthy"


def test_hostile_objects_never_crash_it() -> None:
    assert_survives(ACTION, *stuck())
    ctx = gone("False", 9)
    assert_survives(ACTION, *ctx.snapshot.objects)


def test_the_time_of_the_alert_is_compared_as_a_time() -> None:
    assert alert(minutes=10).starts_at == NOW - timedelta(minutes=10)
    assert change_of(ACTION, gone("False", 10, alerted=10))
