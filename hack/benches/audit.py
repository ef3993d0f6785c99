"""The API server's own audit log: who asked what, and when it was answered, by the clock of this machine."""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One answered request. `at` and `ended` are seconds since the epoch."""

    verb: str
    uri: str
    user_agent: str
    impersonated: str
    at: float
    ended: float
    code: int

    @property
    def writes(self) -> bool:
        return self.verb in ("patch", "update", "create", "delete") and "dryRun=" not in self.uri


class Tail:
    """Reads what was appended since the last look."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._file.seek(0, 2)
        self._rest = b""

    def new(self, part: str) -> Iterator[Call]:
        """New calls whose line holds `part`."""
        self._rest += self._file.read()
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            if part.encode() in line:
                yield _call(json.loads(line))

    def wait_for_write(self, uri: str, seconds: float = 10) -> Call:
        """The first accepted write on that path. Raises RuntimeError when none comes, or it was refused."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for call in self.new(uri):
                if call.writes and call.uri.partition("?")[0] == uri and call.user_agent.startswith(("akeso", "bench")):
                    if call.code >= 300:
                        raise RuntimeError(f"{call.verb} {uri} was answered {call.code}")
                    return call
            time.sleep(0.002)
        raise RuntimeError(f"no write on {uri} within {seconds:g} s; look at the operator's log")

    def close(self) -> None:
        self._file.close()


def calls(path: Path, since: float, until: float, user_agent: str) -> list[Call]:
    """What that client asked between the two, in the order in which the API server received it."""
    found = [_call(json.loads(line)) for line in path.read_bytes().splitlines() if user_agent.encode() in line]
    return sorted((c for c in found if c.user_agent.startswith(user_agent) and since <= c.at and c.ended <= until),
                  key=lambda c: c.at)


def _call(event: dict[str, Any]) -> Call:
    return Call(event["verb"], event["requestURI"], event.get("userAgent", ""),
                event.get("impersonatedUser", {}).get("username", ""), _seconds(event["requestReceivedTimestamp"]),
                _seconds(event["stageTimestamp"]), int(event.get("responseStatus", {}).get("code", 0)))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
