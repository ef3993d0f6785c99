"""Times as Kubernetes and Alertmanager write them."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from akeso.clock import format_time, parse_time, system_clock

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", [
    "2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000000000Z", "2026-11-20T13:00:00+01:00", "2026-11-20T12:00:00"])
def test_a_time_is_read_in_utc(text: str) -> None:
    found = parse_time(text)
    assert found == NOON
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", [None, "", "0001-01-01T00:00:00Z", "yesterday", "2026-13-01T00:00:00Z"])
def test_nothing_garbage_and_gos_zero_time_are_no_time(text: str | None) -> None:
    assert parse_time(text) is None


def test_a_time_is_written_as_metav1_writes_it() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=5))) + timedelta(microseconds=7)
    assert format_time(local) == "2026-11-20T12:00:00Z"
    assert parse_time(format_time(local)) == NOON


def test_the_wall_clock_is_aware() -> None:
    assert system_clock().tzinfo is UTC
