"""A well-declared action for tests."""
from __future__ import annotations

from collections.abc import Sequence

from akeso.model.objects import DEPLOYMENT
from akeso.sdk.action import (
    Action,
    Change,
    Context,
    EffectClass,
    Health,
    Object,
    Params,
    Reversibility,
    Rule,
    Verification,
)


class Sample(Action[Params]):
    name = "restart_sample"
    title = "Restarts a sample"
    target_kinds = (DEPLOYMENT,)
    needs = (Rule("apps", "deployments", ("get", "patch")),)
    effect = EffectClass.SPEC_WRITE
    reversibility = Reversibility.NOTHING

    def plan(self, ctx: Context, params: Params) -> Change | None:
        return None

    def verify(self, before: Object, now: Object | None, related: Sequence[Object], params: Params) -> Verification:
        return Verification(Health.HEALTHY, "fine")
