"""Let new pods on a node again, where the cordon is ours."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from akeso.clock import parse_time
from akeso.model.objects import NODE
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
from akeso_actions import nodes, podstate
from akeso_actions.patching import restore, set_values
from akeso_actions.preconditions import CamelParams, condition_of, refuse, require_live, text


class UncordonParams(CamelParams):
    ready_for_seconds: int = Field(60, ge=0, le=86_400, description="How long it must have been Ready before.")


class UncordonNode(Action[UncordonParams]):
    """Takes away exactly what cordon_node set. A cordon without our annotation is a person's, and stays."""

    name = "uncordon_node"
    title = "Let new pods on a node that Akeso cordoned"
    params: ClassVar[type[Params]] = UncordonParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (NODE,)
    needs = (Rule("", "nodes", ("get", "patch")),)
    effect = EffectClass.VERSIONED_WRITE
    reversibility = Reversibility.EXACT
    cluster_scoped = True
    verify_within_seconds = 30

    def plan(self, ctx: Context, params: UncordonParams) -> Change | None:
        require_live(ctx.target)
        if not nodes.cordoned(ctx.target):
            return None
        if not nodes.cordoned_by_us(ctx.target):
            refuse("it was not cordoned by Akeso: whoever cordoned it has a reason")
        _require_well(ctx, params)
        values = {nodes.UNSCHEDULABLE: None, nodes.CORDON_MARK: None}
        return set_values(ctx.target, ctx.ref, f"uncordon {ctx.ref}", values)

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: UncordonParams,
    ) -> Verification:
        if now is None or podstate.uid_of(now) != podstate.uid_of(before):
            return Verification(Health.UNHEALTHY, "the Node is gone")
        if nodes.cordoned(now):
            return Verification(Health.UNHEALTHY, "somebody cordoned it again")
        if not nodes.ready(now):
            return Verification(Health.UNHEALTHY, "it is no longer Ready")
        return Verification(Health.HEALTHY, "it is Ready and new pods are scheduled to it")

    def undo(self, before: Object, now: Object, change: Change) -> Change | None:
        return restore(now, change)


def _require_well(ctx: Context, params: UncordonParams) -> None:
    if not nodes.ready(ctx.target):
        refuse("it is not Ready")
    since = parse_time(text(condition_of(ctx.target, "Ready"), "lastTransitionTime"))
    if since is None or ctx.now - since < timedelta(seconds=params.ready_for_seconds):
        refuse(f"it has not been Ready for {params.ready_for_seconds} s yet", "it may be flapping; try again later")
    for pressure in nodes.PRESSURES:
        if condition_of(ctx.target, pressure).get("status") == "True":
            refuse(f"its condition {pressure} is True")
