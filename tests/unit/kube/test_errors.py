"""Every status and every broken connection means one thing to the caller."""
from __future__ import annotations

import aiohttp
import orjson
import pytest
from aiohttp.client_reqrep import ConnectionKey

from akeso.errors import (
    AkesoError,
    ClusterAway,
    Conflict,
    Forbidden,
    GiveUp,
    NotFound,
    OutcomeUnknown,
    TooManyRequests,
    Unprocessable,
)
from akeso.kube.errors import MAX_MESSAGE, from_status, from_transport


def answer(status: int, *, mutating: bool = True, headers: dict[str, str] | None = None, **body: object) -> AkesoError:
    return from_status(status, orjson.dumps(body), headers or {}, doing="patch deployments shop/web", mutating=mutating)


@pytest.mark.parametrize(("status", "error"), [
    (400, Unprocessable), (401, Forbidden), (403, Forbidden), (404, NotFound), (409, Conflict), (415, Unprocessable),
    (418, GiveUp), (429, TooManyRequests),
])
def test_a_status_is_an_error_of_its_kind(status: int, error: type[AkesoError]) -> None:
    assert type(answer(status)) is error


def test_a_failed_test_of_a_patch_is_a_conflict_and_an_invalid_object_is_not() -> None:
    assert type(answer(422, message="the server rejected our request")) is Conflict
    assert type(answer(422, details={"causes": [{"field": "spec"}]})) is Unprocessable


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_after_a_write_is_unknown(status: int) -> None:
    assert type(answer(status)) is OutcomeUnknown
    assert type(answer(status, mutating=False)) is ClusterAway


def test_a_server_that_did_not_begin_has_written_nothing() -> None:
    assert type(answer(503, reason="ServiceUnavailable")) is ClusterAway


def test_the_server_says_how_long_to_wait() -> None:
    for error in (answer(429, headers={"Retry-After": "7"}), answer(429, details={"retryAfterSeconds": 7})):
        assert isinstance(error, TooManyRequests)
        assert error.after == 7
    for nonsense in ("Wed, 21 Oct", "-5", "1e9", "nan"):
        error = answer(429, headers={"Retry-After": nonsense})
        assert isinstance(error, TooManyRequests)
        assert 0 < error.after <= 300


def test_a_message_is_one_bounded_line() -> None:
    text = str(answer(403, message="a\nb\x1b[31m" + "x" * 10_000))
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < MAX_MESSAGE + 200


def test_a_patch_that_does_not_decode_is_not_echoed_with_its_object() -> None:
    error = answer(
        422, message='"" is invalid: patch: Invalid value: "{\\"env\\":\\"hunter2\\"}": unknown field "spec.x"',
        details={"causes": [{"field": "patch"}]})
    assert "hunter2" not in str(error)
    assert 'unknown field "spec.x"' in str(error)


def test_a_body_that_is_no_status_still_gives_an_error() -> None:
    for body in (b"", b"<html>", b"[]", b'"x"'):
        assert isinstance(from_status(502, body, {}, doing="x", mutating=True), OutcomeUnknown)


def transport(error: BaseException, *, mutating: bool) -> AkesoError:
    return from_transport(error, doing="patch deployments shop/web", mutating=mutating, host="https://api")


def test_what_failed_while_connecting_was_never_sent() -> None:
    key = ConnectionKey("api", 443, True, True, None, None, None)
    refused = aiohttp.ClientConnectorError(key, OSError(111, "refused"))
    assert type(transport(refused, mutating=True)) is ClusterAway
    assert type(transport(aiohttp.ConnectionTimeoutError(), mutating=True)) is ClusterAway


@pytest.mark.parametrize("error", [
    TimeoutError(), ConnectionResetError(), aiohttp.ServerDisconnectedError(), aiohttp.ClientPayloadError("cut"),
    aiohttp.ClientOSError(104, "reset"),
])
def test_a_write_that_was_sent_and_not_answered_is_unknown(error: BaseException) -> None:
    assert type(transport(error, mutating=True)) is OutcomeUnknown
    assert type(transport(error, mutating=False)) is ClusterAway
