"""Breakers open after failures in a row, admit one probe, and take no cancellation for an answer."""
from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from akeso.act import breakers as module
from akeso.act.breakers import Breakers
from akeso.errors import (
    AkesoError,
    CircuitOpen,
    ClusterAway,
    Forbidden,
    ModelAway,
    OutcomeUnknown,
    Refused,
    TooManyRequests,
)


class FakeClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_seconds(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breakers(clock: FakeClock) -> Breakers:
    return Breakers(3, 30, clock)


async def fail(breakers: Breakers, error: BaseException | None = None, name: str = "kubernetes") -> None:
    error = error or ClusterAway()
    with pytest.raises(type(error)):
        async with breakers.guard(name):
            raise error


async def succeed(breakers: Breakers, name: str = "kubernetes") -> None:
    async with breakers.guard(name):
        pass


async def opened(breakers: Breakers) -> None:
    for _ in range(3):
        await fail(breakers)
    assert breakers.state("kubernetes") == "open"


async def test_it_opens_after_failures_in_a_row_and_says_when_to_return(breakers: Breakers, clock: FakeClock) -> None:
    await opened(breakers)
    clock.pass_seconds(10)
    with pytest.raises(CircuitOpen) as refused:
        await succeed(breakers)
    assert refused.value.after == pytest.approx(20)
    assert "kubernetes" in str(refused.value)


async def test_a_success_in_between_starts_the_count_again(breakers: Breakers) -> None:
    for _ in range(5):
        await fail(breakers)
        await fail(breakers)
        await succeed(breakers)
    assert breakers.state("kubernetes") == "closed"


async def test_other_names_are_not_affected(breakers: Breakers) -> None:
    await opened(breakers)
    await succeed(breakers, "database")
    assert breakers.snapshot() == {"kubernetes": "open", "database": "closed"}


@pytest.mark.parametrize("error", [ClusterAway(), ModelAway(), OutcomeUnknown()])
async def test_no_answer_is_a_failure(breakers: Breakers, error: AkesoError) -> None:
    for _ in range(3):
        await fail(breakers, error)
    assert breakers.state("kubernetes") == "open"


@pytest.mark.parametrize("error", [
    Forbidden(), Refused("Paused", "not now"), TooManyRequests(), CircuitOpen(), asyncio.CancelledError(),
    KeyError("bug"),
])
async def test_an_answer_a_cancellation_and_a_bug_are_no_failures(breakers: Breakers, error: BaseException) -> None:
    for _ in range(10):
        await fail(breakers, error)
    assert breakers.state("kubernetes") == "closed"


async def test_exactly_one_of_forty_concurrent_calls_is_the_probe(breakers: Breakers, clock: FakeClock) -> None:
    await opened(breakers)
    clock.pass_seconds(30)
    ran = 0
    release = asyncio.Event()

    async def call() -> bool:
        nonlocal ran
        try:
            async with breakers.guard("kubernetes"):
                ran += 1
                await release.wait()
        except CircuitOpen:
            return False
        return True

    tasks = [asyncio.create_task(call()) for _ in range(40)]
    await asyncio.sleep(0)
    assert breakers.state("kubernetes") == "half-open"
    release.set()
    assert sum(await asyncio.gather(*tasks)) == ran == 1
    assert breakers.state("kubernetes") == "closed"


async def test_a_failed_probe_opens_it_for_a_whole_period_again(breakers: Breakers, clock: FakeClock) -> None:
    await opened(breakers)
    clock.pass_seconds(31)
    await fail(breakers)
    assert breakers.state("kubernetes") == "open"
    clock.pass_seconds(29)
    with pytest.raises(CircuitOpen):
        await succeed(breakers)
    clock.pass_seconds(1)
    await succeed(breakers)
    assert breakers.state("kubernetes") == "closed"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), TooManyRequests(), KeyError("bug")])
async def test_a_probe_without_an_answer_neither_closes_nor_blocks_it(
    breakers: Breakers, clock: FakeClock, error: BaseException,
) -> None:
    await opened(breakers)
    clock.pass_seconds(30)
    await fail(breakers, error)
    assert breakers.state("kubernetes") == "half-open"
    await succeed(breakers)
    assert breakers.state("kubernetes") == "closed"


async def test_a_call_from_before_it_opened_does_not_decide_about_it(breakers: Breakers, clock: FakeClock) -> None:
    release = asyncio.Event()

    async def slow() -> None:
        async with breakers.guard("kubernetes"):
            await release.wait()

    task = asyncio.create_task(slow())
    await asyncio.sleep(0)
    await opened(breakers)
    release.set()
    await task
    assert breakers.state("kubernetes") == "open"


async def test_listeners_hear_every_change(breakers: Breakers, clock: FakeClock) -> None:
    heard: list[tuple[str, str, str]] = []
    breakers.on_change(lambda *change: heard.append(change))
    await opened(breakers)
    clock.pass_seconds(30)
    await succeed(breakers)
    assert heard == [
        ("kubernetes", "closed", "open"), ("kubernetes", "open", "half-open"), ("kubernetes", "half-open", "closed")]


async def test_names_are_bounded_and_an_open_one_is_kept(breakers: Breakers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 5)
    await opened(breakers)
    for number in range(50):
        await succeed(breakers, f"model/{number}")
    assert len(breakers.snapshot()) == 5
    assert breakers.state("kubernetes") == "open"
