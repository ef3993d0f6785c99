"""What starts a run: an alert, a clock, an Event, or the state of an object."""
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from akeso.model.api.common import ATOMIC_LIST, ApiModel, Cel, Count, Label, Rule, exactly_one


class Matcher(ApiModel):
    """Label matcher with the field names of AlertmanagerConfig."""

    name: str = Field(description="Label name.", min_length=1, max_length=256)
    value: str = Field("", description="Value, or RE2 expression for =~ and !~.", max_length=1024)
    match_type: Literal["=", "!=", "=~", "!~"] = Field("=", description="Comparison. Equality when left out.")


class AlertTrigger(ApiModel):
    """An alert from the Alertmanager (or Grafana, PagerDuty) webhook."""

    matchers: tuple[Matcher, ...] = Field(
        description="All must match the labels of the alert.", max_length=16, json_schema_extra=ATOMIC_LIST)
    on_resolved: Literal["Ignore", "Cancel", "Verify"] = Field(
        "Verify", description="What to do with an active run when the alert resolves. Verify when left out.")
    cooldown_seconds: int | None = Field(
        None, description="Pause per fingerprint between runs.", ge=0, le=604800)


class ScheduleTrigger(ApiModel):
    """A clock."""

    cron: str = Field(description="Cron expression, as in CronJob.", min_length=9, max_length=128)
    time_zone: str | None = Field(None, description="IANA name, as in CronJob.", min_length=1, max_length=64)
    starting_deadline_seconds: Count | None = Field(None, description="As in CronJob.")


class EventTrigger(ApiModel):
    """A Kubernetes Event."""

    reason: str = Field(description="Reason of the Event.", min_length=1, max_length=128)
    type: Literal["Normal", "Warning"] | None = Field(None, description="Type of the Event.")
    regarding_kind: str | None = Field(None, description="Kind of the object.", max_length=63)
    min_count: int | None = Field(None, description="How often it must have occurred.", ge=1, le=100000)


class ResourceTrigger(ApiModel):
    """The state of an object, checked on every change."""

    group: str = Field("", description="API group; empty for core.", max_length=253)
    kind: str = Field(description="Kind.", min_length=1, max_length=63)
    cel: Cel = Field(description="CEL expression over object.")
    for_seconds: int | None = Field(None, description="How long it must hold.", ge=0, le=86400)


class Trigger(ApiModel):
    """What starts a run: exactly one of alert, schedule, event, resource."""

    RULES: ClassVar[Sequence[Rule]] = (exactly_one("alert", "schedule", "event", "resource"),)

    name: Label = Field(description="Name of the trigger.")
    alert: AlertTrigger | None = Field(
        None, description="An alert from the Alertmanager (or Grafana, PagerDuty) webhook.")
    schedule: ScheduleTrigger | None = Field(None, description="A clock.")
    event: EventTrigger | None = Field(None, description="A Kubernetes Event.")
    resource: ResourceTrigger | None = Field(
        None, description="The state of an object, checked on every change.")
