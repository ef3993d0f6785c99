"""The operator as a host process: started, waited for, killed with -9, started again."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .install import ROOT


class OperatorError(Exception):
    """It ended or never became ready; the text is the end of its log."""


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as listening:
        listening.bind((host, 0))
        return int(listening.getsockname()[1])


@dataclass(slots=True)
class Operator:
    """One `akeso run`. `host` must be reachable by Alertmanager; `settings` are AKESO_ variables without the prefix."""

    folder: Path
    kubeconfig: Path
    host: str = "127.0.0.1"
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port(self.host)
        if not self.token_file.exists():
            self.token_file.touch(mode=0o600)
            self.token_file.write_text(secrets.token_urlsafe(32) + "\n")

    @property
    def token_file(self) -> Path:
        return self.folder / "webhook-token"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "operator.log"

    def start(self, timeout: float = 60, **extra: str) -> None:
        """Start it and wait until /readyz says so. `extra` settings hold for this start only."""
        settings = {
            "KUBECONFIG": str(self.kubeconfig), "LISTEN_HOST": self.host, "LISTEN_PORT": str(self.port),
            "DATA_DIR": str(self.folder / "data"), "WEBHOOK_TOKEN_FILE": str(self.token_file), **self.settings,
            **{k.upper(): v for k, v in extra.items()}}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AKESO_")}
        environment |= {f"AKESO_{k}": v for k, v in settings.items()}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(ROOT / ".venv/bin/akeso"), "run"], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        deadline = time.monotonic() + timeout
        while not self.ready():
            if not self.alive():
                if "AKESO_FAILPOINT" in environment:
                    return  # a test asked it to die; it may do so before it is ready
                raise OperatorError(f"akeso run ended with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise OperatorError(f"akeso run is not ready after {timeout:g} s:\n{self.tail()}")
            time.sleep(0.05)

    def ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> tuple[int, str]:
        """(status, body) of a GET; an HTTP error is an answer too."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def post(self, payload: Mapping[str, Any], path: str = "/v1/alerts") -> tuple[int, str]:
        """Post as Alertmanager does, with the bearer token."""
        request = urllib.request.Request(
            self.url + path, data=json.dumps(payload).encode(), method="POST",
            headers={"Content-Type": "application/json",
                     "Authorization": f"Bearer {self.token_file.read_text().strip()}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """-9: as a power cut would."""
        if self.process is not None and self.alive():
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def stop(self, timeout: float = 30) -> None:
        if self.process is None or not self.alive():
            return
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""
