"""The loop: claim due runs, carry each as far as it goes, let go of it. A waiting run holds nothing."""
from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from akeso import failpoints
from akeso.engine import begin, effects, finish, judge, planning, verify
from akeso.engine.advance import Do, Move, deadline_of, next_move
from akeso.engine.case import Case, Wait
from akeso.engine.services import Services
from akeso.errors import AkesoError, DatabaseAway, GiveUp, OutcomeUnknown, Refused, Superseded, TryLater
from akeso.model.names import Reason
from akeso.model.run import Run, RunPhase, StoryLine
from akeso.record.log import run_context

_MOVES: dict[Do, Callable[[Case, Move], Awaitable[Wait | None]]] = {
    Do.BEGIN: lambda case, move: begin.begin(case),
    Do.DECIDE: lambda case, move: judge.decide(case, move.step),
    Do.PLAN: lambda case, move: planning.plan(case, move.step),
    Do.CONSENT: lambda case, move: planning.consent(case, move.step),
    Do.LISTEN: lambda case, move: planning.listen(case, move.step),
    Do.APPLY: lambda case, move: effects.apply(case, move.step),
    Do.VERIFY: lambda case, move: verify.verify(case, move.step),
    Do.UNDO: lambda case, move: effects.undo(case, move.step),
    Do.NOTIFY: lambda case, move: effects.notify(case, move.step),
    Do.CHECK: lambda case, move: verify.check(case, move.step),
    Do.SKIP: finish.skip,
    Do.FINISH: lambda case, move: finish.finish(case),
}
_UNEXPECTED_PAUSE = 30.0  # seconds before a run that hit a bug is tried again
_BUG_RETRIES = 20         # tries of this process after which such a run is given up and a person is told
_BEAT_EVERY = timedelta(seconds=1)  # silence is judged in many seconds; a commit before each claim only delays it
_MAX_MOVES = 500          # of one pass: far more than 72 steps can need


class Worker:
    """One per process; carries up to `settings.workers` runs at once."""

    def __init__(self, services: Services, holder: str) -> None:
        self.services = services
        self.holder = holder
        self._woken = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._beaten = datetime.min.replace(tzinfo=UTC)
        self._bugs: Counter[str] = Counter()

    def wake(self) -> None:
        """Something may be due. Cheap, and safe to call too often."""
        self._woken.set()

    async def run(self) -> None:
        """Until stop(). A database that is away is waited for; nothing is lost meanwhile, the ledger has it all."""
        settings = self.services.settings
        while not self._stopping:
            self._woken.clear()
            try:
                claimed = await self._claim()
            except TryLater as away:  # DatabaseAway, or CircuitOpen once it was away for a while
                self.services.log.warning(str(away))
                claimed = 0
            if claimed and len(self._tasks) < settings.workers:
                continue
            with suppress(TimeoutError):  # the sweep: due times pass without anybody waking us
                async with asyncio.timeout(settings.worker_poll_seconds):
                    await self._woken.wait()

    async def _claim(self) -> int:
        now, settings = self.services.clock(), self.services.settings
        free = settings.workers - len(self._tasks)
        async with self.services.guard("database"):
            if now - self._beaten >= min(_BEAT_EVERY, timedelta(seconds=settings.holder_timeout_seconds / 3)):
                await self.services.store.beat(self.holder, now)  # with full hands too: a silent one's runs are taken
                self._beaten = now
            if free <= 0:
                return 0
            runs = await self.services.store.claim(
                self.holder, free, now, settings.holder_timeout_seconds)
        for run in runs:
            task = asyncio.create_task(self._carry(run), name=f"run {run.name}")
            self._tasks.add(task)
            task.add_done_callback(self._done)
        return len(runs)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.wake()

    async def _carry(self, run: Run) -> None:
        failpoints.reach("after-claim")
        with run_context(run.name):  # the lines of every layer below carry the run, not only the engine's own
            await self._carry_on(run)

    async def _carry_on(self, run: Run) -> None:
        """The loop's edge: whatever goes wrong with one run is written down and never stops another."""
        try:
            until = await self._advance(run)
            if until is not None:
                await self.services.store.release(run.id, run.epoch, until)
        except Superseded:
            self.services.log.info("another replica holds this run now", run_id=run.name)
        except DatabaseAway as away:
            await self._let_go_later(run, away)

    async def _let_go_later(self, run: Run, away: DatabaseAway) -> None:
        """The ledger cannot be written: try to let go until it can, so that the run goes on soon after."""
        self.services.log.warning(str(away), run_id=run.name)
        while not self._stopping:
            await asyncio.sleep(1.0)
            try:
                await self.services.store.release(run.id, run.epoch, self.services.clock())
                return
            except DatabaseAway:
                continue
            except Superseded:
                return

    async def _advance(self, run: Run) -> datetime | None:
        """Move after move. Returns when to look again, None where the run ended."""
        case = None
        try:
            case = Case.of(self.services, run)
            for _ in range(_MAX_MOVES):
                if case.run.phase.terminal:
                    self._bugs.pop(run.id, None)
                    return None
                if self._stopping:
                    return case.now  # between two moves nothing is lost: another replica goes on at once
                move = next_move(case.run, case.spec, case.now)
                wait = await _MOVES[move.do](case, move)
                if wait is not None:
                    return _no_later_than_the_deadline(case, wait)
            raise GiveUp("The run does not come to an end", why=f"{_MAX_MOVES} moves in one pass")
        except (Superseded, DatabaseAway):
            raise
        except (TryLater, OutcomeUnknown) as later:  # an unknown outcome is read back at the next pass
            self.services.log.warning(str(later), run_id=run.name)
            pause = later.after if isinstance(later, TryLater) else 1.0
            return self.services.clock() + timedelta(seconds=max(0.5, min(pause, 30.0)))
        except AkesoError as error:
            await self._end_badly(case, run, error)
            return None
        except Exception as error:  # the edge of the loop: a bug in one run must not stop the others
            self.services.log.exception("a run hit a bug", run_id=run.name)
            return await self._after_bug(run, error)

    async def _after_bug(self, run: Run, error: Exception) -> datetime | None:
        self._bugs[run.id] += 1
        if self._bugs[run.id] < _BUG_RETRIES:
            return self.services.clock() + timedelta(seconds=_UNEXPECTED_PAUSE)
        del self._bugs[run.id]
        await self._end_badly(None, run, GiveUp(
            "Akeso hit a bug", why=f"{type(error).__name__}: {error}", next_step="report it with the operator's log"))
        return None

    async def _end_badly(self, case: Case | None, run: Run, error: AkesoError) -> None:
        reason = error.reason if isinstance(error, Refused) else Reason.FAILED
        now = self.services.clock()
        if case is not None:
            phase = RunPhase.REFUSED if isinstance(error, Refused) else RunPhase.FAILED
            await finish.end(case, phase, reason, str(error))
            return
        await self.services.store.save(
            run.id, run.epoch, run={"phase": RunPhase.FAILED, "reason": reason, "message": str(error), "ended_at": now},
            story=[StoryLine(now, "outcome", reason, str(error)[:1024])])
        self.services.projector.mark(run.id)

    async def stop(self, grace: float = 20.0) -> None:
        """Let the moves in flight finish within `grace` seconds. What is left is taken over: its claim goes stale."""
        self._stopping = True
        self.wake()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()


def _no_later_than_the_deadline(case: Case, wait: Wait) -> datetime:
    deadline = deadline_of(case.run, case.spec)
    return min(wait.until, deadline) if deadline is not None and deadline > case.now else wait.until
