"""hack/bench loop: how many alerts a second become durable, and how long it is from an alert to the write."""
from __future__ import annotations

import argparse

from . import intake, latency
from .figures import Figure
from .place import place


def run(arguments: argparse.Namespace) -> list[Figure]:
    found: list[Figure] = []
    if arguments.only != "latency":
        with place(arguments.kubeconfig) as where:
            found += intake.run(where, arguments)
    if arguments.only != "intake":
        with place(arguments.kubeconfig, kwok=0 if arguments.kubeconfig else 2) as where:
            found += latency.run(where, arguments)
    return found
