"""Answers in JSON. An error is always {"code", "what", "why", "next"}, whoever asks."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from akeso.errors import AkesoError


def answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def problem(status: int, error: AkesoError, headers: Mapping[str, str] | None = None) -> Response:
    """The error as people and programs read it."""
    body = {"code": error.code, "what": error.what, "why": error.why, "next": error.next_step}
    return answer(status, body, headers)


def busy(error: AkesoError, seconds: float = 1.0) -> Response:
    """503: Alertmanager sends it again by itself, which it does not after a 4xx or a 429 (reliability.md finding 7)."""
    return problem(503, error, {"Retry-After": str(max(1, round(seconds)))})
