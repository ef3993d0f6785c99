"""The command line of hack/bench."""
from __future__ import annotations

import argparse
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from hack.devcluster.console import say
from hack.rig.kubectl import KubectlError
from hack.rig.operator import OperatorError

from . import figures
from .figures import Figure

Bench = Callable[[argparse.Namespace], Sequence[Figure]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hack/bench", description="Akeso against the floor of the same work.")
    parser.add_argument("bench", choices=["loop", "idle"],
                        help="loop: alerts/s, and alert to write; idle: 1,000 Workflows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--seconds", type=float, default=0, help="a round (loop: 3) or the watch (idle: 60)")
    parser.add_argument("--seed", type=int, default=1, help="makes the alerts; the same seed, the same alerts")
    parser.add_argument("--only", choices=["intake", "latency"], help="only that half of loop")
    parser.add_argument("--samples", type=int, default=60, help="loop: alerts measured one by one (default: 60)")
    parser.add_argument("--workflows", type=int, default=1000, help="idle: how many (default: 1000)")
    parser.add_argument("--kubeconfig", type=Path, help="use this cluster (not for alert to write: no audit log)")
    return parser


def _interrupt(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """0 every goal met or none set, 1 could not measure, 2 wrong use, 3 a goal was missed, 130 interrupted."""
    arguments = _parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        from . import idle, loop

        found = list((loop.run if arguments.bench == "loop" else idle.run)(arguments))
    except KeyboardInterrupt:
        say("interrupted; everything that was started is gone")
        return 130
    except (OperatorError, KubectlError, subprocess.SubprocessError, OSError, RuntimeError) as error:
        say(f"could not measure: {error}")
        return 1
    print(figures.table(found))
    if arguments.json:
        figures.write(arguments.json, found, arguments.seed)
    return 3 if any(f.ok is False for f in found) else 0
