"""Time comes in as an argument: a Clock is handed to whatever needs to know what time it is."""
from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, always aware and in UTC."""


def system_clock() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time as Kubernetes and Alertmanager write it; None for nothing, garbage or Go's zero time.

    Alertmanager sends `endsAt: 0001-01-01T00:00:00Z` for "not ended", which psycopg cannot read back in time
    zones west of UTC, so the zero time never gets past here.
    """
    if not text:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return None if value.year <= 1 else value.astimezone(UTC)


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time is written."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
