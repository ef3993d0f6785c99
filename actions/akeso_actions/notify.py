"""Tell people."""
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from akeso.model.objects import CRONJOB, DAEMONSET, DEPLOYMENT, JOB, NAMESPACE, NODE, POD, PVC, SERVICE, STATEFULSET
from akeso.model.redact import redact
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
from akeso_actions.preconditions import CamelParams

MAX_CHARS = 4096


class NotifyParams(CamelParams):
    channel: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="Name of a configured channel.")
    message: str = Field(min_length=1, max_length=MAX_CHARS, description="Plain text; secrets in it are redacted.")


class Notify(Action[NotifyParams]):
    """At least once: the channel may hear it twice after a crash, under the same idempotency key."""

    name = "notify"
    title = "Tell people through a configured channel"
    params: ClassVar[type[Params]] = NotifyParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (
        DEPLOYMENT, STATEFULSET, DAEMONSET, CRONJOB, JOB, POD, PVC, SERVICE, NODE, NAMESPACE,
    )
    needs: ClassVar[tuple[Rule, ...]] = ()  # nothing in the cluster is read or written
    effect = EffectClass.OUTSIDE
    reversibility = Reversibility.NOTHING
    verify_within_seconds = 30

    def plan(self, ctx: Context, params: NotifyParams) -> Change | None:
        message = redact(_plain(params.message))[:MAX_CHARS]
        alert = ctx.snapshot.alerts[0].name if ctx.snapshot.alerts else ""
        context = {"target": str(ctx.ref), "namespace": ctx.ref.namespace, "alert": redact(_plain(alert))[:253]}
        body = {"channel": params.channel, "message": message, "context": context}
        return Change(Verb.NOTIFY, ctx.ref, f"tell {params.channel} about {ctx.ref}", body=body)

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: NotifyParams,
    ) -> Verification:
        return Verification(Health.HEALTHY, "handed to the channel")


def _plain(text: str) -> str:
    """Without control and format characters (bidi overrides, zero width), which show people what is not there."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
