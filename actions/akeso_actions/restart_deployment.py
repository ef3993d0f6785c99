"""Restart all pods of a Deployment, one rolling update, as `kubectl rollout restart` does it."""
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from akeso.clock import format_time
from akeso.model.objects import DEPLOYMENT
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
from akeso_actions import rollout
from akeso_actions.patching import pointer, restore, set_values, value_at
from akeso_actions.preconditions import CamelParams, integer, refuse

RESTARTED_AT = pointer("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")


class RestartParams(CamelParams):
    allow_single_replica: bool = Field(False, description="Restart it even where one replica is all there is.")
    allow_downtime: bool = Field(False, description="Restart it even where its strategy takes all pods down at once.")


class RestartDeployment(Action[RestartParams]):
    """The template's annotation gets the time of the plan: absolute, so that a replay is the same write.

    Where no replica is ready there is nothing left to lose, and neither guard for availability applies.
    The undo takes the annotation back: the template is the old one again, so the controller returns to its ReplicaSet.
    """

    name = "restart_deployment"
    title = "Restart a Deployment's pods by a rolling update"
    params: ClassVar[type[Params]] = RestartParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (DEPLOYMENT,)
    needs = (Rule("apps", "deployments", ("get", "patch")),)
    effect = EffectClass.SPEC_WRITE
    reversibility = Reversibility.COMPENSABLE
    verify_within_seconds = 600

    def plan(self, ctx: Context, params: RestartParams) -> Change | None:
        target, wanted = ctx.target, rollout.replicas(ctx.target)
        rollout.require_steerable(target)
        if wanted == 0:
            refuse("the Deployment is scaled to 0: there is nothing to restart")
        if why := rollout.in_progress(target):
            refuse(why, "wait for it, or roll it back")
        if integer(target, "status", "readyReplicas"):
            _keep_serving(target, wanted, params)
        stamp = format_time(ctx.now)
        if value_at(target, RESTARTED_AT) == stamp:
            return None
        return set_values(target, ctx.ref, f"restart {ctx.ref} ({wanted} replicas, rolling)", {RESTARTED_AT: stamp})

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: RestartParams,
    ) -> Verification:
        return rollout.health(before, now, related)

    def undo(self, before: Object, now: Object, change: Change) -> Change | None:
        return restore(now, change)


def _keep_serving(target: Object, wanted: int, params: RestartParams) -> None:
    if wanted < 2 and not params.allow_single_replica:
        refuse("it has a single replica, which is ready", "scale it up, or set allowSingleReplica: true")
    if wanted >= 2 and rollout.may_take_down(target) >= wanted and not params.allow_downtime:
        refuse("its update strategy takes all replicas down at once", "set allowDowntime: true, or change the strategy")
