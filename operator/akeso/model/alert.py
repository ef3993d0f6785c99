"""An alert as Alertmanager says it, and the signal that it becomes: one deduplicated episode."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

AlertStatus = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a notification. Every text in it is hostile (trust tier T3, labels T2)."""

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    generator_url: str = ""
    group_key: str = ""
    receiver: str = ""
    source: str = ""  # the Alertmanager: its externalURL

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True)
class Signal:
    """A deduplicated episode of an alert: (source, fingerprint, startsAt) is unique for ever (reliability.md A.2)."""

    id: str
    alert: Alert
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = None
    deliveries: int = 1
    matched: tuple[str, ...] = field(default=())  # keys of the Workflows that matched

    @property
    def firing(self) -> bool:
        return self.resolved_at is None
