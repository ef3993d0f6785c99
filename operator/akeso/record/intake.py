"""Group commit: alerts of many requests in one transaction, and nobody is answered before it is committed."""
from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Protocol

from akeso.clock import Clock, system_clock
from akeso.errors import AkesoError, DatabaseAway, InvalidInput
from akeso.record.incoming import Incoming, Saved, signal_id

COMMITTERS = 2      # one batch is on its way while the next one gathers; more only makes batches smaller
BATCH_ALERTS = 500  # keeps one statement in the tens of milliseconds


class SavesAlerts(Protocol):
    """The part of the store that intake needs."""

    async def save_alerts(self, batch: Sequence[Incoming], now: datetime) -> list[Saved]: ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    items: Sequence[Incoming]
    answer: asyncio.Future[list[Saved]]


class Intake:
    """Coalesces concurrent callers into few transactions. `committed` is told (alerts, seconds) of each one."""

    def __init__(
        self, store: SavesAlerts, *, clock: Clock = system_clock, committed: Callable[[int, float], None] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._committed = committed
        self._waiting: deque[_Waiting] = deque()
        self._committers: set[asyncio.Task[None]] = set()

    async def save(self, items: Sequence[Incoming]) -> list[Saved]:
        """Returns after COMMIT, what became of each item in order. An item that Postgres can never hold comes back
        with `rejected` set, and harms no other. Raises DatabaseAway (perhaps committed: sending again is safe)."""
        if not items:
            return []
        waiting = _Waiting(items, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if len(self._committers) < COMMITTERS:
            task = asyncio.create_task(self._commit_all(), name="intake-committer")
            self._committers.add(task)
            task.add_done_callback(self._committers.discard)
        return await waiting.answer

    async def _commit_all(self) -> None:
        while self._waiting:
            groups = self._next_batch()
            try:
                await self._commit(groups)
            except BaseException as error:
                told = error if isinstance(error, Exception) else AkesoError("Intake was stopped")
                for group in groups:
                    _fail(group, told)
                if not isinstance(error, Exception):
                    raise

    def _next_batch(self) -> list[_Waiting]:
        groups: list[_Waiting] = []
        alerts = 0
        while self._waiting and (not groups or alerts + len(self._waiting[0].items) <= BATCH_ALERTS):
            group = self._waiting.popleft()
            if not group.answer.done():  # its caller may have gone
                groups.append(group)
                alerts += len(group.items)
        return groups

    async def _commit(self, groups: Sequence[_Waiting]) -> None:
        if not groups:
            return
        try:
            saved = await self._save([item for group in groups for item in group.items])
        except DatabaseAway:
            raise  # one attempt for all: a database that is down gets no more load from the callers of one batch
        except AkesoError:
            if len(groups) == 1:
                raise
            for group in groups:
                await self._commit_alone(group)
            return
        at = 0
        for group in groups:
            _answer(group, saved[at:at + len(group.items)])
            at += len(group.items)

    async def _commit_alone(self, group: _Waiting) -> None:
        try:
            _answer(group, await self._save(group.items))
        except AkesoError as error:
            _fail(group, error)

    async def _save(self, items: Sequence[Incoming]) -> list[Saved]:
        """One transaction; where Postgres refuses a value for ever, one for each half until the bad item is alone."""
        started = perf_counter()
        try:
            saved = await self._store.save_alerts(items, self._clock())
        except InvalidInput as error:
            if len(items) == 1:
                alert = items[0].alert
                return [Saved(signal_id(alert.source, alert.fingerprint, alert.starts_at), False, rejected=str(error))]
            half = len(items) // 2
            return [*await self._save(items[:half]), *await self._save(items[half:])]
        if self._committed:
            self._committed(len(items), perf_counter() - started)
        return saved


def _answer(group: _Waiting, saved: list[Saved]) -> None:
    if not group.answer.done():
        group.answer.set_result(saved)


def _fail(group: _Waiting, error: Exception) -> None:
    if not group.answer.done():
        group.answer.set_exception(error)
