"""kubectl as a person types it, with the cluster's own binary and a deadline."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class KubectlError(Exception):
    """kubectl said no; the text is what it printed."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    binary: str
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Run it; its standard output. Raises KubectlError with what it printed."""
        done = subprocess.run(
            [self.binary, "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin, capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, manifest: str, *arguments: str) -> None:
        self("apply", "-f", "-", *arguments, stdin=manifest)

    def get(self, *arguments: str) -> Any:
        return json.loads(self("get", *arguments, "-o", "json"))
