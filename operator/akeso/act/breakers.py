"""Circuit breakers around awaits: pybreaker keeps the policy, this module makes it fit for asyncio.

Its decorator never counts failures of coroutines, and its `calling()` lets every waiting call through when half-open
and counts a cancellation (design/engine.md 4, measured). So admission is decided here, before the await, and the
outcome is told to pybreaker after it; nothing is locked in between.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pybreaker

from akeso.clock import Clock
from akeso.errors import CircuitOpen, DatabaseAway, GiveUp, OutcomeUnknown, Refused, TooManyRequests, TryLater

MAX_NAMES = 512
"""Names beyond this drop the least recently used closed one: model endpoints and channels are named by tenants."""

DATABASE = "database"

OnChange = Callable[[str, str, str], None]
"""Called with name, old state, new state."""


class Breakers:
    """Breakers by name, such as `kubernetes`, `model/shop/local`, `database`, `action/restart_deployment`.

    What counts: TryLater and OutcomeUnknown are failures; GiveUp and Refused are answers, so successes.
    TooManyRequests, an open inner breaker, cancellation and bugs say nothing about the dependency and count as neither.
    """

    def __init__(self, failures: int, reset_seconds: float, clock: Clock) -> None:
        """`failures` in a row open a breaker; after `reset_seconds` exactly one call is let through as a probe."""
        self._failures = failures
        self._reset = timedelta(seconds=reset_seconds)
        self._clock = clock
        self._breakers: OrderedDict[str, _Breaker] = OrderedDict()
        self._listeners: list[OnChange] = []

    @asynccontextmanager
    async def guard(self, name: str) -> AsyncIterator[None]:
        """Runs the block, or raises CircuitOpen(after=seconds until the next probe) without running it."""
        breaker = self._named(name)
        probe = breaker.admit()
        try:
            yield
        except (CircuitOpen, TooManyRequests):
            raise
        except DatabaseAway as error:  # many a block also asks the ledger, which says nothing about anything else
            if name == DATABASE:
                breaker.record(error, probe=probe)
            raise
        except (TryLater, OutcomeUnknown) as error:
            breaker.record(error, probe=probe)
            raise
        except (GiveUp, Refused):
            breaker.record(None, probe=probe)
            raise
        else:
            breaker.record(None, probe=probe)
        finally:
            if probe:
                breaker.probing = False

    def state(self, name: str) -> str:
        """`closed`, `open` or `half-open`; a name never used is closed."""
        breaker = self._breakers.get(name)
        return breaker.policy.current_state if breaker else pybreaker.STATE_CLOSED

    def snapshot(self) -> dict[str, str]:
        """State by name."""
        return {name: breaker.policy.current_state for name, breaker in self._breakers.items()}

    def on_change(self, listener: OnChange) -> None:
        """Have the listener called at each change of state; for metrics and logs, so it must not block or raise."""
        self._listeners.append(listener)

    def _named(self, name: str) -> _Breaker:
        breaker = self._breakers.get(name)
        if breaker is None:
            self._make_room()
            breaker = self._breakers[name] = _Breaker(name, self._failures, self._reset, self._clock, self._tell)
        self._breakers.move_to_end(name)
        return breaker

    def _make_room(self) -> None:
        if len(self._breakers) < MAX_NAMES:
            return
        closed = (n for n, b in self._breakers.items() if b.policy.current_state == pybreaker.STATE_CLOSED)
        self._breakers.pop(next(closed, next(iter(self._breakers))))

    def _tell(self, name: str, old: str, new: str) -> None:
        for listener in self._listeners:
            listener(name, old, new)


class _Breaker:
    """One breaker and its single probe."""

    def __init__(
        self, name: str, failures: int, reset: timedelta, clock: Clock, tell: OnChange,
    ) -> None:
        self.name = name
        self.probing = False
        self._storage = _Storage(clock)
        self._reset = reset
        self.policy = pybreaker.CircuitBreaker(
            fail_max=failures, reset_timeout=reset.total_seconds(), state_storage=self._storage, name=name,
            listeners=[_Listener(name, tell)], throw_new_error_on_trip=False)

    def admit(self) -> bool:
        """True where this call is the probe, False in normal service; raises CircuitOpen."""
        state = self.policy.current_state
        if state == pybreaker.STATE_CLOSED:
            return False
        left = self._storage.open_for(self._reset)
        if self.probing or (state == pybreaker.STATE_OPEN and left > 0):
            raise CircuitOpen(
                f"The circuit breaker of {self.name} is {state}", after=max(left, 1.0),
                why="it failed repeatedly", next_step="it is tried again by itself; `akeso doctor` says what is wrong")
        self.probing = True
        if state == pybreaker.STATE_OPEN:
            self.policy.half_open()
        return True

    def record(self, failure: Exception | None, *, probe: bool) -> None:
        """Count one finished call. Calls that began before the breaker opened do not decide about a probe."""
        if not probe and self.policy.current_state != pybreaker.STATE_CLOSED:
            return
        if failure is None:
            self.policy.call(lambda: None)
            return
        with suppress(type(failure), pybreaker.CircuitBreakerError):
            self.policy.call(_raise, failure)


def _raise(error: Exception) -> None:
    raise error


class _Storage(pybreaker.CircuitMemoryStorage):
    """Keeps the opening time by our clock. pybreaker compares it with the wall clock, so it is handed out shifted."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(pybreaker.STATE_CLOSED)
        self._clock = clock
        self._opened: datetime | None = None

    @property
    def opened_at(self) -> datetime | None:
        return None if self._opened is None else datetime.now(UTC) - (self._clock() - self._opened)

    @opened_at.setter
    def opened_at(self, _: datetime) -> None:
        self._opened = self._clock()

    def open_for(self, reset: timedelta) -> float:
        """Seconds until a probe is due."""
        return 0.0 if self._opened is None else (self._opened + reset - self._clock()).total_seconds()


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, name: str, tell: OnChange) -> None:
        self._name = name
        self._tell = tell

    def state_change(self, cb: pybreaker.CircuitBreaker, old_state: Any, new_state: Any) -> None:
        self._tell(self._name, old_state.name if old_state else pybreaker.STATE_CLOSED, new_state.name)
