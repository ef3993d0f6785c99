"""Delete one pod, so that its controller starts a new one."""
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


class RestartPodParams(CamelParams):
    """None: the pod's own grace period applies."""


class RestartPod(Action[RestartPodParams]):
    """DELETE with the uid as precondition, so that a namesake that came since is never deleted. What was only in the
    pod (its emptyDir, its logs) goes with it, hence irreversible. Disruption budgets are not asked (see evict_pod).
    """

    name = "restart_pod"
    title = "Delete one pod so that its controller replaces it"
    params: ClassVar[type[Params]] = RestartPodParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (POD,)
    needs = (Rule("", "pods", ("get", "delete")),)
    effect = EffectClass.DELETE
    reversibility = Reversibility.IRREVERSIBLE

    def plan(self, ctx: Context, params: RestartPodParams) -> Change | None:
        require_replaceable(ctx)
        return Change(Verb.DELETE, ctx.ref, f"delete {ctx.ref}; its controller replaces it")

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: RestartPodParams,
    ) -> Verification:
        return replaced(before, now, related)
