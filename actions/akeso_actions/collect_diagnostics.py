"""Keep what was seen of an object, before it is gone. Changes nothing."""
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from akeso.model.objects import DEPLOYMENT, NODE, POD, STATEFULSET
from akeso.model.redact import redact, redact_object
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
    Verb,
    Verification,
)
from akeso_actions.podstate import failing, is_pod
from akeso_actions.preconditions import CamelParams, mappings, text

MAX_OBJECTS = 40
MAX_EVENTS = 100
MAX_LOG_CHARS = 16_384  # of each log, its end


class CollectParams(CamelParams):
    lines: int = Field(100, ge=0, le=1_000, description="Last lines kept of each log.")


class CollectDiagnostics(Action[CollectParams]):
    """The body holds the snapshot's objects, its events and the logs of failing containers, all redacted and bounded:
    `{"objects": [...], "events": [...], "logs": {...}, "missing": {...}}`. Whoever performs it only stores it.
    """

    name = "collect_diagnostics"
    title = "Keep objects, events and logs of what fails"
    params: ClassVar[type[Params]] = CollectParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (POD, DEPLOYMENT, STATEFULSET, NODE)
    needs: ClassVar[tuple[Rule, ...]] = ()  # the operator has read it all before; the tenant's account needs nothing
    effect = EffectClass.READ
    reversibility = Reversibility.NOTHING
    verify_within_seconds = 30

    def plan(self, ctx: Context, params: CollectParams) -> Change | None:
        body = {
            "objects": [redact_object(obj) for obj in [ctx.target, *_others(ctx)][:MAX_OBJECTS]],
            "events": [redact_object(event) for event in list(ctx.snapshot.events)[-MAX_EVENTS:]],
            "logs": _logs(ctx, params.lines),
            "missing": {key: redact(why) for key, why in ctx.snapshot.missing.items()},
        }
        summary = f"keep {len(body['objects'])} objects, {len(body['events'])} events and {len(body['logs'])} logs"
        return Change(Verb.COLLECT, ctx.ref, f"{summary} of {ctx.ref}", body=body)

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: CollectParams,
    ) -> Verification:
        return Verification(Health.HEALTHY, "nothing was to be changed")


def _others(ctx: Context) -> list[Object]:
    """The failing pods first: where there are too many objects, the well ones are left out."""
    rest = [o for o in ctx.snapshot.objects if text(o, "metadata", "uid") != text(ctx.target, "metadata", "uid")]
    return sorted(rest, key=lambda o: not (is_pod(o) and failing(o)))


def _logs(ctx: Context, lines: int) -> dict[str, str]:
    wanted = {
        f"{text(pod, 'metadata', 'namespace')}/{text(pod, 'metadata', 'name')}/{text(status, 'name')}"
        for pod in [ctx.target, *ctx.snapshot.objects] if is_pod(pod)
        for status in mappings(pod, "status", "initContainerStatuses") + mappings(pod, "status", "containerStatuses")
        if failing(pod) or status.get("lastState")
    }
    return {
        key: redact("\n".join(log.splitlines()[-lines:] if lines else []))[-MAX_LOG_CHARS:]
        for key, log in sorted(ctx.snapshot.logs.items()) if key.removesuffix("/previous") in wanted
    }
