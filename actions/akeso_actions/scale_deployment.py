"""Set a Deployment's replica count."""
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from akeso.model.objects import DEPLOYMENT
from akeso.sdk.action import (
    Action,
    Change,
    Context,
    EffectClass,
    Health,
    Kind,
    Object,
    Params,
    Reversibility,
    Rule,
    Verification,
)
from akeso_actions import podstate, rollout
from akeso_actions.patching import restore, set_values
from akeso_actions.preconditions import CamelParams, integer, refuse, require_live, text

REPLICAS = "/spec/replicas"


class ScaleParams(CamelParams):
    replicas: int = Field(ge=0, le=10_000, description="Wanted replicas, absolute.")
    max_replicas: int = Field(10, ge=1, le=10_000, description="Never scale above this, whatever `replicas` says.")
    allow_zero: bool = Field(False, description="Scaling to 0 takes the service away; it must be asked for.")


class ScaleDeployment(Action[ScaleParams]):
    """Patches /spec/replicas of the Deployment itself, not its /scale subresource: the marker annotation must go out in
    the same write as the change (design/reliability.md A.4), and Scale carries no annotations of the Deployment.

    One step at most doubles or halves (0 and 1 may become 2). A Deployment with an autoscaler is the autoscaler's.
    """

    name = "scale_deployment"
    title = "Set a Deployment's replica count"
    params: ClassVar[type[Params]] = ScaleParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (DEPLOYMENT,)
    needs = (Rule("apps", "deployments", ("get", "patch")),)
    effect = EffectClass.SPEC_WRITE
    reversibility = Reversibility.EXACT

    def plan(self, ctx: Context, params: ScaleParams) -> Change | None:
        require_live(ctx.target)
        current, wanted = rollout.replicas(ctx.target), params.replicas
        _nobody_else_scales(ctx)
        if wanted == current:
            return None
        if wanted > params.max_replicas:
            refuse(f"{wanted} replicas are above maxReplicas, {params.max_replicas}")
        if wanted == 0 and not params.allow_zero:
            refuse("scaling to 0 takes the service away", "set allowZero: true if that is meant")
        if wanted > max(2, 2 * current):
            refuse(f"from {current} to {wanted} replicas is more than double in one step")
        if 0 < wanted < (current + 1) // 2:
            refuse(f"from {current} to {wanted} replicas is less than half in one step")
        summary = f"scale {ctx.ref} from {current} to {wanted} replicas"
        return set_values(ctx.target, ctx.ref, summary, {REPLICAS: wanted})

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: ScaleParams,
    ) -> Verification:
        if now is None or podstate.uid_of(now) != podstate.uid_of(before):
            return Verification(Health.UNHEALTHY, "the Deployment is gone")
        wanted = params.replicas
        if rollout.replicas(now) != wanted:
            return Verification(Health.UNHEALTHY, f"somebody set it to {rollout.replicas(now)} replicas, not {wanted}")
        if not rollout.observed(now):
            return Verification(Health.PENDING, "waiting for the deployment controller to see the change")
        blocked = rollout.fresh_condition(before, now, "ReplicaFailure")
        if blocked.get("status") == "True":
            return Verification(Health.UNHEALTHY, f"pods cannot be created: {text(blocked, 'message')[:200]}")
        exist, available = integer(now, "status", "replicas"), integer(now, "status", "availableReplicas")
        if exist == available == wanted:
            return Verification(Health.HEALTHY, f"{wanted} of {wanted} replicas are available")
        return Verification(Health.PENDING, f"{available} available, {exist} exist, {wanted} wanted")

    def undo(self, before: Object, now: Object, change: Change) -> Change | None:
        return restore(now, change)


def _nobody_else_scales(ctx: Context) -> None:
    for autoscaler in ctx.snapshot.of_kind("HorizontalPodAutoscaler"):
        name, namespace = text(autoscaler, "metadata", "name"), text(autoscaler, "metadata", "namespace")
        ref = (text(autoscaler, "spec", "scaleTargetRef", "kind"), text(autoscaler, "spec", "scaleTargetRef", "name"))
        if namespace == ctx.ref.namespace and ref == (ctx.ref.kind.kind, ctx.ref.name):
            refuse(f"HorizontalPodAutoscaler/{name} scales it", "raise its maxReplicas instead")
    if unread := next((k for k in ctx.snapshot.missing if "horizontalpodautoscaler" in k.lower()), None):
        refuse(f"whether an autoscaler scales it could not be read: {ctx.snapshot.missing[unread]}")
