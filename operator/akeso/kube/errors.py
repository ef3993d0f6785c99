"""What an answer of the API server, or the lack of one, means to the caller.

The mapping is design/reliability.md A.3: a failed precondition (409, or 422 without causes, which is how a failed JSON
Patch is answered) is `Conflict`; a write that was sent and not answered is `OutcomeUnknown`, never "failed".
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from akeso.errors import (
    AkesoError,
    ClusterAway,
    Conflict,
    Forbidden,
    GiveUp,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    TooManyRequests,
    Unprocessable,
)

_READ_BACK = "it is read back before anything is sent again"

MAX_MESSAGE = 500
"""Characters of a server message that are passed on: it may echo tenant input of any length."""


def from_status(status: int, body: bytes, headers: Mapping[str, str], *, doing: str, mutating: bool) -> AkesoError:
    """The error for an HTTP status of 400 and above.

    doing     what was tried, as `patch deployments shop/web`; part of the message
    mutating  whether the request could change something (a dry run, a review or a read could not)
    """
    answer = _status_object(body)
    why = _clean(_message(answer) or f"HTTP {status}")
    if status in (401, 403):
        return _not_allowed(status, why, doing)
    if status == 404:
        return NotFound(f"Cannot {doing}", why=why)
    if status == 409 or (status == 422 and not _causes(answer)):
        return Conflict(f"Cannot {doing}", why=why, next_step="read the object again and decide anew")
    if status in (400, 405, 406, 413, 415, 422):
        return Unprocessable(f"Cannot {doing}", why=why, next_step="correct it; the same request will be refused again")
    if status == 429:
        return TooManyRequests(f"Cannot {doing} now", why=why, after=_retry_after(headers, answer))
    if status >= 500:
        return _server_error(status, answer, why, doing, mutating=mutating, after=_retry_after(headers, answer))
    return GiveUp(f"Cannot {doing}", why=why)


def from_transport(error: BaseException, *, doing: str, mutating: bool, host: str) -> AkesoError:
    """The error for a request that got no answer. Everything that fails while connecting was never sent."""
    detail = _clean(str(error) or type(error).__name__)
    check = f"check that {host} is reachable and that its certificate is trusted"
    if not mutating or isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return ClusterAway(f"Cannot {doing}", why=detail, next_step=check)
    if isinstance(error, aiohttp.InvalidURL):
        return InvalidInput(f"Cannot {doing}", why=detail)
    return OutcomeUnknown(f"No answer to: {doing}", why=detail, next_step=_READ_BACK)


def _not_allowed(status: int, why: str, doing: str) -> Forbidden:
    if status == 401:
        return Forbidden(f"Cannot {doing}", why=why, next_step="renew the credentials that Akeso connects with")
    return Forbidden(f"Cannot {doing}", why=why, next_step="grant the permission named here; `akeso rbac` prints it")


def _server_error(
    status: int, answer: Mapping[str, Any], why: str, doing: str, *, mutating: bool, after: float,
) -> AkesoError:
    # The API server itself says 503 ServiceUnavailable only before it starts on a request (starting, shutting down,
    # aggregated API away). Any other 5xx, and a 503 of a load balancer, may come after the write was committed.
    before_start = status == 503 and answer.get("reason") == "ServiceUnavailable"
    if mutating and not before_start:
        return OutcomeUnknown(f"HTTP {status} to: {doing}", why=why, next_step=_READ_BACK)
    return ClusterAway(f"Cannot {doing}", why=why, after=after)


def _status_object(body: bytes) -> Mapping[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _causes(answer: Mapping[str, Any]) -> Sequence[Any]:
    details = answer.get("details")
    return (details.get("causes") or ()) if isinstance(details, dict) else ()


def _message(answer: Mapping[str, Any]) -> str:
    message = str(answer.get("message") or "")
    # A patch that does not decode is answered with the whole object, env values included, before what is wrong with it.
    if any(isinstance(cause, dict) and cause.get("field") == "patch" for cause in _causes(answer)):
        return message.rpartition('": ')[2]
    return message


def _retry_after(headers: Mapping[str, str], answer: Mapping[str, Any]) -> float:
    details = answer.get("details")
    told = headers.get("Retry-After") or (details.get("retryAfterSeconds") if isinstance(details, dict) else None)
    try:
        return min(300.0, max(0.1, float(told or 1)))  # this order turns nan into 0.1
    except ValueError:  # an HTTP date, which the API server never sends
        return 1.0


def _clean(text: str) -> str:
    """One printable line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"
