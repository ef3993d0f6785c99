"""Evict one pod through the eviction API, which heeds disruption budgets."""
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from akeso.model.objects import POD
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
    Verb,
    Verification,
)
from akeso_actions.disruption import replaced, require_replaceable
from akeso_actions.preconditions import CamelParams


class EvictPodParams(CamelParams):
    """None: the pod's own grace period applies."""


class EvictPod(Action[EvictPodParams]):
    """POST pods/eviction with the uid as precondition. A budget that says no (429) means: wait; there is no falling
    through to a delete. The uid is compared before the request, since a wrong one burns budget (finding 5).
    """

    name = "evict_pod"
    title = "Evict one pod, heeding disruption budgets"
    params: ClassVar[type[Params]] = EvictPodParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (POD,)
    needs = (Rule("", "pods", ("get",)), Rule("", "pods/eviction", ("create",)))
    effect = EffectClass.EVICT
    reversibility = Reversibility.IRREVERSIBLE

    def plan(self, ctx: Context, params: EvictPodParams) -> Change | None:
        require_replaceable(ctx)
        return Change(Verb.EVICT, ctx.ref, f"evict {ctx.ref}; its controller replaces it")

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: EvictPodParams,
    ) -> Verification:
        return replaced(before, now, related)
