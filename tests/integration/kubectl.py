"""kubectl for tests: one namespace, any user, refusals as text."""
from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Protocol


class Cluster(Protocol):
    """What these tests need of the `cluster` fixture."""

    @property
    def kubeconfig(self) -> Path: ...


class Kubectl:
    """`user` impersonates; `body` is sent as JSON on stdin (with `-f -`)."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.env = os.environ | {"KUBECONFIG": str(kubeconfig)}
        self.namespace = namespace

    def run(self, *args: str, user: str = "", body: Any = None) -> subprocess.CompletedProcess[str]:
        who = ["--as", user, "--as-group", "system:authenticated"] if user else []
        return subprocess.run(
            ["kubectl", "--namespace", self.namespace, *who, *args], env=self.env, text=True, capture_output=True,
            input=None if body is None else json.dumps(body), check=False, timeout=60)

    def ok(self, *args: str, user: str = "", body: Any = None) -> str:
        """stdout of a command that must succeed."""
        done = self.run(*args, user=user, body=body)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refused(self, *args: str, user: str = "", body: Any = None) -> str:
        """stderr of a command that must fail."""
        done = self.run(*args, user=user, body=body)
        assert done.returncode != 0, f"accepted, but must be refused: {done.stdout}"
        return done.stderr

    def create(self, body: Any, user: str = "") -> str:
        """`kind.group/name` of the new object."""
        return self.ok("create", "-o", "name", "-f", "-", user=user, body=body)


def merge(name: str, spec: dict[str, Any]) -> tuple[str, ...]:
    """Arguments of a merge patch of the spec."""
    return ("patch", name, "--type=merge", "-p", json.dumps({"spec": spec}))
