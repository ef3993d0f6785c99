"""A stop ends every loop, also when something wakes the loop in the very same moment.

Found in CI: before Python 3.12 `asyncio.wait_for` can swallow a cancellation that meets the end of what it waits for,
and an operator asked to stop then went on for ever.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.unit.engine.rig import Rig

from akeso.engine.catalogue import Catalogue


async def _stopped_while_woken(start: Callable[[], Coroutine[Any, Any, None]], wake: Callable[[], None]) -> bool:
    task = asyncio.create_task(start())
    for _ in range(20):  # into its wait
        await asyncio.sleep(0)
    wake()
    await asyncio.sleep(0)  # what it waits for is over, and the loop does not know it yet
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2)
    task.cancel()
    return bool(done)


@pytest.mark.parametrize("loop", ["worker", "projector", "catalogue"])
async def test_a_loop_that_is_woken_as_it_is_stopped_ends(loop: str) -> None:
    rig = Rig()
    catalogue = Catalogue(rig.services)
    start, wake = {
        "worker": (rig.worker.run, rig.worker.wake),
        "projector": (rig.projector.run, lambda: rig.projector.mark("nobody")),
        "catalogue": (catalogue.run, catalogue.agents_again),
    }[loop]
    assert await _stopped_while_woken(start, wake)
