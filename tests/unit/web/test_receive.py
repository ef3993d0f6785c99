"""POST /v1/alerts: what is answered, and that it is never 2xx before the commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.ingest.hostile import GARBAGE, ODD, UNUSABLE
from tests.unit.web.parts import GOOD, NOW, Ledger, application, client

from akeso.errors import DatabaseAway
from akeso.record.incoming import Saved
from akeso.settings import Settings
from akeso.web import receive

JSON = {"content-type": "application/json"}


async def post(
    ledger: Ledger, body: Any, settings: Settings | None = None, headers: dict[str, str] | None = None
) -> Any:
    async with client(application(ledger, settings=settings)) as http:
        if isinstance(body, dict):
            return await http.post("/v1/alerts", json=body, headers=headers)
        return await http.post("/v1/alerts", content=body, headers={**JSON, **(headers or {})})


def named(name: str, **more: Any) -> dict[str, Any]:
    return {**GOOD, "labels": {"alertname": name}, **more}


async def test_an_alert_that_matches_is_202_with_its_runs() -> None:
    ledger = Ledger()
    response = await post(ledger, {"alerts": [GOOD, named("B")]})
    assert response.status_code == 202
    assert response.json() == {"accepted": 2, "matched": 1, "runs": ["r0"]}
    assert [item.alert.name for item in ledger.saved] == ["A", "B"]
    assert ledger.told[0].outcome == "matched"


async def test_an_alert_that_matches_nothing_is_kept_and_200_says_why() -> None:
    ledger = Ledger()
    response = await post(ledger, {"alerts": [named("B")]})
    assert response.status_code == 200
    assert response.json() == {"accepted": 1, "matched": 0, "runs": [], "why": ["no trigger matches B"]}
    assert len(ledger.saved) == 1


async def test_nothing_is_answered_before_the_commit() -> None:
    ledger = Ledger(hang=asyncio.Event())
    answering = asyncio.create_task(post(ledger, {"alerts": [GOOD]}))
    done, _ = await asyncio.wait({answering}, timeout=0.1)
    assert not done
    ledger.hang.set()
    assert (await answering).status_code == 202


async def test_a_database_that_is_away_is_503_with_retry_after() -> None:
    response = await post(Ledger(error=DatabaseAway(after=3)), {"alerts": [GOOD]})
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")
    assert set(response.json()) == {"code", "what", "why", "next"}
    assert response.json()["code"] == "AK-1101"


async def test_a_database_that_hangs_is_503_within_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert receive.COMMIT_SECONDS < 2
    monkeypatch.setattr(receive, "COMMIT_SECONDS", 0.05)
    response = await post(Ledger(hang=asyncio.Event()), {"alerts": [GOOD]})
    assert response.status_code == 503
    assert "commit" in response.json()["what"]


async def test_a_mistake_of_ours_is_500_so_that_it_is_sent_again() -> None:
    response = await post(Ledger(error=RuntimeError("secret detail")), {"alerts": [GOOD]})
    assert response.status_code == 500
    assert "secret" not in response.text


async def test_bad_alerts_are_listed_beside_the_accepted_ones() -> None:
    response = await post(Ledger(), {"alerts": [GOOD, {"x": 1}], "truncatedAlerts": 4})
    assert response.status_code == 202
    assert (response.json()["accepted"], response.json()["truncated"]) == (1, 4)
    assert response.json()["rejected"][0].startswith("alerts[1]")


async def test_what_the_ledger_can_never_hold_is_listed_too() -> None:
    class Picky(Ledger):
        async def save(self, items: Any) -> list[Saved]:
            return [Saved("s", False, rejected="too odd") for _ in items]

    assert (await post(Picky(), {"alerts": [GOOD]})).json()["rejected"] == ["too odd"]


async def test_the_watchdog_is_a_heartbeat_and_no_signal() -> None:
    ledger = Ledger()
    response = await post(ledger, {"alerts": [named("Watchdog"), GOOD], "externalURL": "http://a:9093"})
    assert response.json()["heartbeats"] == 1
    assert [item.alert.name for item in ledger.saved] == ["A"]
    assert ledger.beats == [("alertmanager", NOW)]
    alone = await post(ledger, {"alerts": [named("Watchdog")]})
    assert (alone.status_code, alone.json()["matched"]) == (200, 0)


async def test_a_heartbeat_that_is_not_committed_is_not_acknowledged() -> None:
    assert (await post(Ledger(error=DatabaseAway()), {"alerts": [named("Watchdog")]})).status_code == 503


async def test_a_resolved_watchdog_beats_no_heart() -> None:
    ledger = Ledger()
    await post(ledger, {"alerts": [named("Watchdog", status="resolved")]})
    assert ledger.beats == []


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_400_with_what_was_expected(name: str) -> None:
    response = await post(Ledger(), GARBAGE[name])
    assert response.status_code == 400
    assert "alerts" in response.json()["next"]


@pytest.mark.parametrize("name", UNUSABLE)
async def test_a_notification_without_one_usable_alert_is_400_and_says_where(name: str) -> None:
    response = await post(Ledger(), UNUSABLE[name])
    assert response.status_code == 400
    assert "alerts[0]" in response.json()["why"]


@pytest.mark.parametrize("name", ODD)
async def test_what_is_only_odd_is_2xx(name: str) -> None:
    response = await post(Ledger(), ODD[name])
    assert response.status_code in (200, 202)


async def test_a_body_that_says_it_is_too_large_is_413() -> None:
    response = await post(Ledger(), b"x" * 200, Settings(webhook_max_bytes=100))
    assert response.status_code == 413
    assert "100 bytes" in response.json()["why"]


@pytest.mark.parametrize(
    "length", [None, "5", "-1", "9" * 30, "1e9", "\N{SUPERSCRIPT TWO}".encode("latin-1").decode("latin-1")]
)
async def test_a_body_that_lies_about_its_length_is_413_while_it_streams(length: str | None) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 50

    headers = [(b"content-type", b"application/json")] + (
        [(b"content-length", length.encode("latin-1"))] if length else []
    )
    async with client(application(Ledger(), settings=Settings(webhook_max_bytes=100))) as http:
        response = await http.post("/v1/alerts", content=endless(), headers=headers)
    assert response.status_code == 413
    assert sent <= 4


async def test_a_body_that_never_ends_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "BODY_SECONDS", 0.05)

    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async with client(application(Ledger())) as http:
        response = await http.post("/v1/alerts", content=stalls(), headers=JSON)
    assert response.status_code == 408


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json; charset=utf-8", 202),
        ("APPLICATION/JSON", 202),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/vnd.x+json", 202),
        ("", 202),
    ],
)
async def test_only_json_is_taken(kind: str, status: int) -> None:
    response = await post(
        Ledger(),
        b'{"alerts":[{"status":"firing","labels":{"alertname":"A"},"startsAt":"2026-01-01T00:00:00Z"}]}',
        headers={"content-type": kind},
    )
    assert response.status_code == status


async def test_an_encoded_body_is_415() -> None:
    assert (await post(Ledger(), {"alerts": []}, headers={"content-encoding": "gzip"})).status_code == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/alerts", 405),
        ("PUT", "/v1/alerts", 405),
        ("POST", "/healthz", 405),
        ("GET", "/", 404),
        ("POST", "/alerts", 404),
    ],
)
async def test_other_methods_and_paths_are_told_where_to_go(method: str, path: str, status: int) -> None:
    async with client(application(Ledger())) as http:
        response = await http.request(method, path)
    assert response.status_code == status
    assert "/v1/alerts" in response.json()["next"]
    assert status != 405 or response.headers["allow"]
