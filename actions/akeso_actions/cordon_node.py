"""Keep new pods off a node."""
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

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
from akeso_actions.preconditions import CamelParams, refuse, require_live, text

SHARE_PERCENT = 10
"""At most this share of the nodes, but always one, carries a cordon of ours (reference/actions.md, 42)."""


class CordonParams(CamelParams):
    """None."""


class CordonNode(Action[CordonParams]):
    """Sets spec.unschedulable and an annotation that says that the cordon is ours, which uncordon_node asks for.
    Running pods stay. A Node has no generation, so the write is bound to its resourceVersion (class C6).
    """

    name = "cordon_node"
    title = "Keep new pods off a node"
    params: ClassVar[type[Params]] = CordonParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (NODE,)
    needs = (Rule("", "nodes", ("get", "patch")),)
    effect = EffectClass.VERSIONED_WRITE
    reversibility = Reversibility.EXACT
    cluster_scoped = True
    verify_within_seconds = 30

    def plan(self, ctx: Context, params: CordonParams) -> Change | None:
        require_live(ctx.target)
        if nodes.cordoned(ctx.target):
            return None
        if nodes.control_plane(ctx.target):
            refuse("it is a control-plane node")
        _keep_capacity(ctx)
        values = {nodes.UNSCHEDULABLE: True, nodes.CORDON_MARK: nodes.OURS}
        return set_values(ctx.target, ctx.ref, f"cordon {ctx.ref}", values)

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: CordonParams,
    ) -> Verification:
        if now is None or podstate.uid_of(now) != podstate.uid_of(before):
            return Verification(Health.UNHEALTHY, "the Node is gone")
        if not nodes.cordoned(now):
            return Verification(Health.UNHEALTHY, "somebody uncordoned it again")
        return Verification(Health.HEALTHY, "no new pods are scheduled to it")

    def undo(self, before: Object, now: Object, change: Change) -> Change | None:
        return restore(now, change)


def _keep_capacity(ctx: Context) -> None:
    uid = podstate.uid_of(ctx.target)
    others = [node for node in ctx.snapshot.of_kind("Node") if podstate.uid_of(node) != uid]
    everyone = [ctx.target, *others]
    lost = [node for node in everyone if not nodes.ready(node)]
    if 2 * len(lost) > len(everyone):
        refuse(f"{len(lost)} of {len(everyone)} nodes are not ready: no single node is at fault", "a person must look")
    ours = [node for node in others if nodes.cordoned_by_us(node)]
    budget = max(1, len(everyone) * SHARE_PERCENT // 100)
    if len(ours) >= budget:
        names = ", ".join(sorted(text(node, "metadata", "name") for node in ours)[:5])
        refuse(f"Akeso already keeps {len(ours)} of {len(everyone)} nodes cordoned ({names}); its budget is {budget}")
    serving = [node for node in others if nodes.serves(node) and not nodes.control_plane(node)]
    if not serving:
        refuse("it would be the last schedulable ready node: no other one is known")
    zone = nodes.zone(ctx.target)
    if zone and not any(nodes.zone(node) == zone for node in serving):
        refuse(f"it would be the last schedulable ready node of zone {zone}")
