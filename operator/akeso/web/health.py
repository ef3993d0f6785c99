"""Is this process alive, and can it take alerts now?"""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from akeso.errors import AkesoError

PROBE_SECONDS: Final = 2.0
BEAT_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that must or should be there.

    probe     returns a line of detail; raises AkesoError where it is not well
    required  without it no alert can be accepted. Only the database is: the rest may be away for a while
    """

    name: str
    probe: Callable[[], Awaitable[str]]
    required: bool = False


@dataclass(slots=True)
class Pulse:
    """How late the event loop runs, in seconds: the newest measurement and the worst of the last minute or so."""

    lag: float = 0.0
    worst: float = 0.0
    _recent: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            await asyncio.sleep(BEAT_SECONDS)
            self.lag = max(0.0, loop.time() - started - BEAT_SECONDS)
            self._recent = [*self._recent[-119:], self.lag]
            self.worst = max(self._recent)


async def readiness(dependencies: Sequence[Dependency]) -> tuple[bool, Mapping[str, Any]]:
    """Whether alerts can be accepted, and each dependency with its detail."""
    results = await asyncio.gather(*(_probe(one) for one in dependencies))
    ready = all(well for one, (well, _) in zip(dependencies, results, strict=True) if one.required)
    detail = {
        one.name: {"ok": well, "required": one.required, "detail": text}
        for one, (well, text) in zip(dependencies, results, strict=True)
    }
    return ready, {"ready": ready, "dependencies": detail}


async def _probe(one: Dependency) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return True, await one.probe()
    except AkesoError as error:
        return False, str(error)
    except TimeoutError:
        return False, f"no answer within {PROBE_SECONDS:g} s"
