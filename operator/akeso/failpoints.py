"""Named points at which a test can have this process killed, with -9, as a power cut would, or frozen.

    AKESO_FAILPOINT=after-write        killed the first time that point is reached
    AKESO_FAILPOINT=after-write:3      the third time
    AKESO_FAILPOINT=after-intent:1:STOP  frozen with SIGSTOP, as a paused virtual machine would be, until SIGCONT

The points stand before and after every durable step of the loop, in the order in which an alert passes them.
"""
from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Final

from akeso.settings import fail_point

POINTS: Final = (
    "before-ack-commit",   # an alert was read, nothing is stored
    "after-ack-commit",    # stored, not yet acknowledged
    "after-claim",         # a worker holds the run
    "after-evidence",      # target and evidence are committed
    "after-decision",      # the answer to the condition is committed
    "after-plan",          # gates and dry run passed, the plan is committed
    "before-intent",
    "after-intent",        # the intent is committed, nothing was sent
    "after-write",         # the API server answered, the ledger does not know yet
    "after-settle",        # the intent is settled, its step does not show it
    "after-applied",       # the step does
    "before-verify",
    "after-verify",        # the verdict is committed
    "after-finish",        # the run is terminal, its WorkflowRun does not show it yet
)

_reached: Counter[str] = Counter()
_name, _nth, _signal = (*fail_point().split(":"), "", "")[:3]


def reach(point: str) -> None:
    """Die (or freeze) here if a test asked for it. Costs one comparison otherwise."""
    if point != _name:
        return
    _reached[point] += 1
    if _reached[point] == int(_nth or 1):
        os.kill(os.getpid(), signal.Signals[f"SIG{_signal or 'KILL'}"])
