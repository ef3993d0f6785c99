"""The few requests that starting a cluster needs, over TLS with the admin's client certificate."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .console import ClusterError
from .procs import alive, tail
from .state import Cluster


class Api:
    """A client of one API server; every request has a deadline of five seconds."""

    def __init__(self, server: str, pki: Path) -> None:
        self._server = server
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send JSON, return JSON (or text, where the answer is not JSON). Raises urllib's errors."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._server + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5, context=self._context) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith("{") else text

    def create(self, path: str, body: object) -> None:
        """POST; an object that is there already is fine."""
        try:
            self.request("POST", path, body)
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise ClusterError(f"POST {path}: {error.code} {error.read().decode()[:500]}") from error

    def ready(self) -> bool:
        try:
            return bool(self.request("GET", "/readyz") == "ok")
        except (OSError, ValueError):  # not listening yet, or 500 until its hooks have run
            return False


def wait(
    cluster: Cluster, what: str, condition: Callable[[], bool], timeout: float, watched: str | None = None
) -> None:
    """Poll until true. Fails at once when the process with role `watched` ends, showing the end of its log."""
    deadline = time.monotonic() + timeout
    record = cluster.proc(watched) if watched else None
    while not condition():
        if record is not None and not alive(record):
            raise ClusterError(f"{watched} ended while waiting for {what}; {record.log} ends with:\n{tail(record.log)}")
        if time.monotonic() > deadline:
            end = f"; {record.log} ends with:\n{tail(record.log)}" if record else ""
            raise ClusterError(f"{what}: not after {timeout:.0f} s{end}")
        time.sleep(0.05)
