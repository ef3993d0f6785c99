"""Notifications as they are really sent, and as they must not be."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.unit.ingest.hostile import GARBAGE, GOOD, ODD, UNUSABLE

from akeso.errors import InvalidInput
from akeso.ingest.sources import UNNAMED, Sources, canonical
from akeso.ingest.webhook import Limits, alert_from, parse

DATA = Path(__file__).parents[2] / "data" / "alertmanager"
START = datetime(2026, 11, 20, 22, 37, 32, 492_000, tzinfo=UTC)


@pytest.mark.parametrize("file", sorted(DATA.glob("*firing*.json")), ids=lambda p: p.name)
def test_each_version_s_notification_becomes_the_same_alert(file: Path) -> None:
    found = parse(file.read_bytes())
    (alert,) = found.alerts
    assert (alert.status, alert.name, alert.fingerprint) == ("firing", "KubePodCrashLooping", "f70783126dfcd15b")
    assert (alert.starts_at, alert.ends_at) == (START, None)
    assert alert.labels["pod"] == "checkout-5d8f7c9b4-x2k7z"
    assert not found.rejected


def test_a_resolved_alert_keeps_its_start_and_has_an_end() -> None:
    (alert,) = parse((DATA / "0.25-resolved.real.json").read_bytes()).alerts
    assert (alert.status, alert.starts_at) == ("resolved", START)
    assert alert.ends_at is not None
    assert alert.ends_at > START


def test_a_quoted_receiver_is_unquoted_and_the_group_is_kept() -> None:
    found = parse((DATA / "0.25-firing.real.json").read_bytes())
    assert (found.receiver, found.source) == ("ops/akeso.v1", "http://alerts.example.test/am")
    assert found.alerts[0].group_key == '{}:{alertname="KubePodCrashLooping", namespace="shop"}'


def test_truncated_alerts_are_counted() -> None:
    assert parse((DATA / "0.31-firing.written.json").read_bytes()).truncated == 3


def test_webhook_and_api_agree_on_the_identity_of_an_alert() -> None:
    """The webhook sends nanoseconds, the API milliseconds: as two starts they would be two episodes."""
    (sent,) = parse((DATA / "0.25-firing.real.json").read_bytes()).alerts
    (listed,) = orjson.loads((DATA / "0.25-api-alerts.real.json").read_bytes())
    read = alert_from(listed, status="firing", source="s")
    assert (read.fingerprint, read.starts_at) == (sent.fingerprint, sent.starts_at)
    assert (read.status, read.ends_at) == ("firing", None)


def test_a_missing_fingerprint_is_made_of_the_labels_in_whatever_order() -> None:
    def fingerprint(labels: str) -> str:
        body = f'{{"alerts":[{{"status":"firing","labels":{labels},"startsAt":"2026-01-01T00:00:00Z"}}]}}'
        return parse(body.encode()).alerts[0].fingerprint

    one = fingerprint('{"alertname":"A","x":"1"}')
    assert one == fingerprint('{"x":"1","alertname":"A"}')
    assert one != fingerprint('{"x":"2","alertname":"A"}')
    assert len(one) == 32


def test_one_bad_alert_costs_only_itself() -> None:
    found = parse(orjson.dumps({"alerts": [GOOD, {"status": "firing", "labels": {"alertname": 1}}, GOOD]}))
    assert len(found.alerts) == 2
    assert found.rejected == ("alerts[1].labels['alertname'] is a number, not a text",)


def test_more_alerts_than_the_limit_are_counted_and_not_silent() -> None:
    found = parse(orjson.dumps({"alerts": [GOOD] * 5, "truncatedAlerts": 2}), Limits(alerts=3))
    assert (len(found.alerts), found.truncated) == (3, 4)
    assert "2 too many" in found.rejected[0]


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused_with_what_was_expected(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(GARBAGE[name])
    assert '"alerts"' in refused.value.next_step
    assert refused.value.why


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_alert_that_cannot_be_used_is_rejected_with_its_place(name: str) -> None:
    found = parse(UNUSABLE[name])
    assert not found.alerts
    assert found.rejected[0].startswith("alerts[0]")
    assert len(found.rejected[0]) < 500


@pytest.mark.parametrize("name", ODD)
def test_what_is_only_odd_is_taken(name: str) -> None:
    found = parse(ODD[name])
    assert found.alerts or name == "no alerts"
    assert 0 <= found.truncated < 2**31
    for alert in found.alerts:
        assert alert.ends_at is None or alert.ends_at.year > 1
        assert "\0" not in str(alert)
        assert max(map(len, alert.annotations.values()), default=0) <= 4096
        assert len(alert.annotations) <= 32


def test_a_post_that_is_a_list_is_told_that_this_is_the_webhook_receiver() -> None:
    with pytest.raises(InvalidInput, match="Prometheus posts to Alertmanager"):
        parse(GARBAGE["api v2 list"])


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("HTTP://Alerts.Example:80/", "http://alerts.example"),
        ("https://a:443/x/?q#f", "https://a/x"),
        ("http://[FD00::1]:9093", "http://[fd00::1]:9093"),
        ("", ""),
        ("nonsense", "nonsense"),
    ],
)
def test_urls_that_mean_the_same_are_written_the_same(url: str, same: str) -> None:
    assert canonical(url) == same


def test_unnamed_alertmanagers_are_one_source_by_webhook_and_by_api() -> None:
    sources = Sources(["http://alertmanager.monitoring:9093"])
    assert sources.read == (("http://alertmanager.monitoring:9093", UNNAMED),)
    assert sources.of("http://alertmanager-0:9093") == UNNAMED
    assert sources.certain(UNNAMED)


def test_with_two_unnamed_alertmanagers_absence_proves_nothing() -> None:
    sources = Sources(["http://a:9093"])
    assert {sources.of("http://a:9093"), sources.of("http://b:9093")} == {UNNAMED}
    assert not sources.certain(UNNAMED)


def test_webhook_and_reconciliation_share_what_was_heard() -> None:
    web, reconciler = Sources.from_settings(("http://shared:9093",)), Sources.from_settings(("http://shared:9093",))
    web.of("http://a:9093")
    web.of("http://b:9093")
    assert not reconciler.certain(UNNAMED)


def test_a_named_alertmanager_is_its_own_source() -> None:
    sources = Sources(["https://alerts.example/=http://10.0.0.1:9093", "https://alerts.example=http://10.0.0.2:9093/"])
    assert sources.of("https://Alerts.example") == "https://alerts.example"
    assert sources.of("http://another") == UNNAMED
    assert sources.read == (
        ("http://10.0.0.1:9093", "https://alerts.example"),
        ("http://10.0.0.2:9093", "https://alerts.example"),
    )
    assert sources.certain("https://alerts.example")


@pytest.mark.parametrize("url", ["alertmanager:9093", "ftp://x", "http://", "x=http://a", "http://[::", ""])
def test_what_is_no_url_is_refused_at_start(url: str) -> None:
    with pytest.raises(InvalidInput):
        Sources([url])
