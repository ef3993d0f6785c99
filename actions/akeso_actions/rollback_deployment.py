"""Bring back the pod template of an earlier revision that is known to have worked."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

from pydantic import Field

from akeso.clock import parse_time
from akeso.model.objects import DEPLOYMENT, dig
from akeso.sdk.action import (
    Action,
    Change,
    Context,
    EffectClass,
    Kind,
    Object,
    Params,
    Reversibility,
    Rule,
    Verification,
)
from akeso_actions import podstate, rollout
from akeso_actions.patching import restore, set_values
from akeso_actions.preconditions import CamelParams, condition_of, integer, mapping, mappings, refuse, text

HISTORY = "deployment.kubernetes.io/revision-history"


class RollbackParams(CamelParams):
    to_revision: int = Field(0, ge=0, description="Revision to return to; 0: the newest that worked.")


class RollbackDeployment(Action[RollbackParams]):
    """One write replaces /spec/template, since apps/v1 has no rollback verb (`kubectl rollout undo` does the same).

    Kubernetes keeps no record that a revision was healthy. Two things count as proof, the first before the second:
      * a ReplicaSet of an earlier revision has ready pods now (the usual case: a stuck rolling update keeps old pods);
      * the revision just before this one, where the Deployment's condition Available says that it was available when
        the present ReplicaSet was created, and the alert began only after that.
    A revision named in `toRevision` is a person's choice and needs to exist, no more.
    """

    name = "rollback_deployment"
    title = "Roll a Deployment back to the last revision that worked"
    params: ClassVar[type[Params]] = RollbackParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (DEPLOYMENT,)
    needs = (Rule("apps", "deployments", ("get", "patch")),)
    effect = EffectClass.SPEC_WRITE
    reversibility = Reversibility.EXACT
    verify_within_seconds = 600

    def plan(self, ctx: Context, params: RollbackParams) -> Change | None:
        rollout.require_steerable(ctx.target)
        if rollout.replicas(ctx.target) == 0:
            refuse("the Deployment is scaled to 0: there is nothing to roll back")
        current = rollout.current_replicaset(ctx.target, ctx.snapshot.objects)
        if current is None:
            refuse(f"the ReplicaSet of the present revision, {rollout.revision(ctx.target)}, was not found")
        _require_failing(ctx, current)
        earlier = [
            rs for rs in rollout.replicasets(ctx.target, ctx.snapshot.objects)
            if 0 < rollout.revision(rs) < rollout.revision(current)
        ]
        chosen = _named(earlier, params.to_revision) if params.to_revision else _proven(ctx, current, earlier)
        template = _template(chosen)
        if template == dig(ctx.target, "spec", "template"):
            return None
        summary = (
            f"roll {ctx.ref} back from revision {rollout.revision(current)} to {rollout.revision(chosen)} "
            f"({', '.join(_images(template))})"
        )
        return set_values(ctx.target, ctx.ref, summary, {"/spec/template": template})

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: RollbackParams,
    ) -> Verification:
        return rollout.health(before, now, related)

    def undo(self, before: Object, now: Object, change: Change) -> Change | None:
        return restore(now, change)


def _require_failing(ctx: Context, current: Object) -> None:
    """Rolling back what works would replace a running revision for nothing."""
    number = rollout.revision(current)
    pods = rollout.pods_of(current, ctx.snapshot.objects)
    if pods:
        if not any(podstate.failing(pod) for pod in pods):
            refuse(f"all {len(pods)} pods of the present revision, {number}, are ready: it is not what fails")
    elif integer(current, "status", "readyReplicas") >= rollout.replicas(ctx.target):
        refuse(f"all replicas of the present revision, {number}, are ready: it is not what fails")


def _named(earlier: Sequence[Object], number: int) -> Object:
    found = next((rs for rs in earlier if rollout.revision(rs) == number), None)
    if found is None:
        kept = ", ".join(str(rollout.revision(rs)) for rs in earlier) or "none"
        refuse(f"revision {number} is not among the earlier ones that are kept: {kept}")
    return found


def _proven(ctx: Context, current: Object, earlier: Sequence[Object]) -> Object:
    if not earlier:
        refuse("no earlier revision is kept", "fix the template, or raise spec.revisionHistoryLimit for the next time")
    for rs in earlier:
        if integer(rs, "status", "readyReplicas") > 0:
            return rs
    if not _was_available(ctx, current):
        refuse("nothing proves that an earlier revision worked", "name one with toRevision if you know better")
    return earlier[0]


def _was_available(ctx: Context, current: Object) -> bool:
    """True where the Deployment was available when its present ReplicaSet came, and the alert is younger than that."""
    came = parse_time(text(current, "metadata", "creationTimestamp"))
    if came is None or text(mapping(current, "metadata", "annotations"), HISTORY):
        return False  # a ReplicaSet that was used again is older than its rollout
    available = condition_of(ctx.target, "Available")
    changed = parse_time(text(available, "lastTransitionTime"))
    if changed is None or ctx.snapshot.alert.starts_at < came:
        return False
    return changed <= came if available.get("status") == "True" else changed >= came


def _template(replicaset: Object) -> Mapping[str, Any]:
    """The ReplicaSet's template without the label that the controller added."""
    template = deepcopy(dict(mapping(replicaset, "spec", "template")))
    if not mappings(template, "spec", "containers"):
        refuse(f"ReplicaSet/{text(replicaset, 'metadata', 'name')} holds no pod template")
    labels = mapping(template, "metadata", "labels")
    kept = {key: value for key, value in labels.items() if key != rollout.POD_TEMPLATE_HASH}
    template["metadata"] = {**mapping(template, "metadata"), "labels": kept}
    return template


def _images(template: Mapping[str, Any]) -> list[str]:
    return [text(container, "image") for container in mappings(template, "spec", "containers")]
