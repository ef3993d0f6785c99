"""The OpenAI-compatible wire against a scripted server: every way to answer badly.

This proves how our side behaves, not that a real server speaks like this: tests/integration/decide/test_llama_cpp.py
asks a real one.
"""
from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.unit.decide.test_ask import FACTS, SNAPSHOT

from akeso.decide.prompt import prompt
from akeso.decide.providers.openai_compatible import OpenAICompatible, completions_url
from akeso.errors import AkesoError, ModelAnswerUnusable, ModelAway
from akeso.model.verdict import Answer

GOOD = {"evidence": ["restarts", "invented"], "answer": "yes"}
Reply = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def completion(content: object = None, *, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    text = content if isinstance(content, str) else json.dumps(GOOD if content is None else content)
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish, **more}]}


def http(body: object, status: int = 200, **headers: str) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", "connection: close", f"content-length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + raw


class Server:
    """Answers each request with the next reply (the last one again and again), and keeps what it was sent."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            size = next(int(h.split(":")[1]) for h in head.lower().splitlines() if h.startswith("content-length"))
            self.requests.append(json.loads(await reader.readexactly(size)))
            self.heads.append(head)
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if isinstance(reply, bytes):
                writer.write(reply)
                await writer.drain()
            else:
                await reply(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    scripted = Server()
    listening = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield scripted


def model(server: Server, **more: Any) -> OpenAICompatible:
    return OpenAICompatible(**{"url": server.url, "model": "m1", "timeout_seconds": 5.0, **more})


async def ask(endpoint: OpenAICompatible, timeout: float = 5.0) -> Any:
    return await endpoint.ask("Is it broken?", FACTS, SNAPSHOT, timeout=timeout)


async def test_a_good_answer_is_a_label_and_the_names_of_known_facts(server: Server) -> None:
    server.replies = [http(completion())]
    verdict = await ask(model(server))
    assert (verdict.answer, verdict.by, verdict.facts) == (Answer.YES, "model:m1", ("restarts",))
    assert verdict.confidence_percent is None
    assert "invented" not in verdict.message


async def test_the_request_is_what_the_api_description_says(server: Server) -> None:
    server.replies = [http(completion())]
    await ask(model(server, credential="sk-1"))
    sent, head = server.requests[0], server.heads[0]
    assert head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert "authorization: bearer sk-1\r\n" in head.lower()
    assert (sent["model"], sent["temperature"], sent["stream"]) == ("m1", 0.0, False)
    assert isinstance(sent["seed"], int)
    assert sent["max_tokens"] <= 256
    assert sent["response_format"]["type"] == "json_schema"
    assert sent["response_format"]["json_schema"]["strict"] is True
    assert [m["role"] for m in sent["messages"]] == ["system", "user"]
    assert "logprobs" not in sent


async def test_without_a_key_no_authorization_is_sent_whatever_the_environment_says(
    server: Server, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server.replies = [http(completion())]
    await ask(model(server))
    assert "authorization" not in server.heads[0].lower()


async def slow_body(writer: asyncio.StreamWriter) -> None:
    """A byte every 20 ms, so that no single read ever times out."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    while True:
        writer.write(b" " * 65536)
        await writer.drain()


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def hang_up_half_way(writer: asyncio.StreamWriter) -> None:
    writer.write(http(completion())[:-20])
    await writer.drain()


TEXT = json.dumps(GOOD)
UNUSABLE: dict[str, Reply] = {
    "truncated JSON of the server": http(json.dumps(completion()).encode()[:-9]),
    "not JSON at all": http(b"<html>It works!</html>"),
    "an empty body": http(b""),
    "null": http(b"null"),
    "a list": http([completion()]),
    "no choices": http({"choices": []}),
    "choices of another shape": http({"choices": [{"text": TEXT}]}),
    "an error with status 200": http({"error": {"message": "out of memory"}}),
    "content that is null": http({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}),
    "content that is an object": http({"choices": [{"message": {"content": GOOD}, "finish_reason": "stop"}]}),
    "truncated JSON of the model": http(completion(TEXT[:-3])),
    "a wrong label": http(completion({"evidence": [], "answer": "maybe"})),
    "a label in capitals": http(completion({"evidence": [], "answer": "YES"})),
    "a label with a space": http(completion({"evidence": [], "answer": "yes "})),
    "true instead of yes": http(completion({"evidence": [], "answer": True})),
    "no answer": http(completion({"evidence": []})),
    "no evidence": http(completion({"answer": "yes"})),
    "evidence that is a text": http(completion({"evidence": "restarts", "answer": "yes"})),
    "evidence of numbers": http(completion({"evidence": [1], "answer": "yes"})),
    "a flood of evidence": http(completion({"evidence": ["restarts"] * 65, "answer": "yes"})),
    "an extra key": http(completion({**GOOD, "command": "kubectl delete ns shop"})),
    "two answers": http(completion('{"evidence": [], "answer": "no", "answer": "yes"}')),
    "code fences": http(completion(f"```json\n{TEXT}\n```")),
    "text before": http(completion(f"Sure! {TEXT}")),
    "text after": http(completion(f"{TEXT} Anything else?")),
    "two objects": http(completion(TEXT + TEXT)),
    "a bare label": http(completion("yes")),
    "a thousand brackets": http(completion("[" * 4000)),
    "a hundred thousand brackets": http(b"[" * 100_000),
    "a huge content": http(completion(TEXT + " " * 9000)),
    "a refusal": http({"choices": [{"message": {"content": TEXT, "refusal": "I cannot"}, "finish_reason": "stop"}]}),
    "cut at its length": http(completion(finish="length")),
    "filtered": http(completion(finish="content_filter")),
    "a tool call": http(completion(finish="tool_calls")),
    "no finish reason": http(completion(finish=None)),
    "invalid UTF-8": http(json.dumps(completion()).encode().replace(b"restarts", b"\xff\xfe")),
    "a redirect": http(b"", 302, location="http://127.0.0.1:9/steal"),
    "a permanent redirect": http(b"", 308, location="/v1/other"),
    "nothing to say": http(b"", 204),
    "not found": http({"error": "no such model"}, 404),
    "a wrong key": http({"error": "key"}, 401),
    "a forbidden model": http({"error": "key"}, 403),
    "compression that was not asked for": http(b"\x1f\x8b\x08", content_encoding="gzip"),
    "an endless body": endless_body,
    "a body that is too large": http(b" " * 300_000),
}
AWAY: dict[str, Reply] = {
    "a server error": http({"error": "x"}, 500), "bad gateway": http(b"", 502), "loading the model": http(b"", 503),
    "too many requests": http(b"", 429, retry_after="0"), "a timeout of its own": http(b"", 408),
    "a strange server error": http(b"", 599),
    "silence": silence, "a body that drips": slow_body, "a closed connection": hang_up,
    "a closed connection half way": hang_up_half_way, "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("what", UNUSABLE)
async def test_an_unusable_answer_is_refused_and_never_repaired(server: Server, what: str) -> None:
    server.replies = [UNUSABLE[what]]
    with pytest.raises(ModelAnswerUnusable) as caught:
        await ask(model(server))
    assert "kubectl delete" not in str(caught.value)
    assert len(server.requests) <= 2


@pytest.mark.parametrize("what", AWAY)
async def test_a_server_that_does_not_answer_is_away_before_the_deadline_is_over(server: Server, what: str) -> None:
    server.replies = [AWAY[what]]
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(ModelAway):
        await ask(model(server, timeout_seconds=1.5))
    assert loop.time() - started < 2.5
    assert len(server.requests) <= 2


async def test_where_nobody_listens_the_model_is_away() -> None:
    with pytest.raises(ModelAway, match="did not answer"):
        await ask(OpenAICompatible(url="http://127.0.0.1:9", model="m"))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_one_retry_heals_a_hiccup(server: Server, status: int) -> None:
    server.replies = [http(b"", status, retry_after="0"), http(completion())]
    assert (await ask(model(server))).answer is Answer.YES
    assert len(server.requests) == 2


async def test_retry_after_is_honoured_but_only_inside_the_deadline(server: Server) -> None:
    server.replies = [http(b"", 429, retry_after="1"), http(completion())]
    loop = asyncio.get_running_loop()
    started = loop.time()
    await ask(model(server))
    assert loop.time() - started >= 1
    server.replies = [http(b"", 429, retry_after="3600"), http(completion())]
    with pytest.raises(ModelAway, match="did not answer"):
        await ask(model(server), timeout=0.3)


async def test_the_shorter_of_two_deadlines_counts(server: Server) -> None:
    server.replies = [silence]
    started = asyncio.get_running_loop().time()
    with pytest.raises(ModelAway):
        await ask(model(server, timeout_seconds=30.0), timeout=0.2)
    assert asyncio.get_running_loop().time() - started < 2


@pytest.mark.parametrize(("status", "body"), [
    (400, b"bad"), (422, b"{}"), (500, b"response_format.type: literal_error")])
async def test_a_server_of_the_other_dialect_is_asked_in_it_and_remembered(
    server: Server, status: int, body: bytes,
) -> None:
    server.replies = [http(body, status), http(completion())]
    endpoint = model(server)
    await ask(endpoint)
    await ask(endpoint)
    assert [r["response_format"]["type"] for r in server.requests] == ["json_schema", "json_object", "json_object"]
    assert server.requests[1]["response_format"]["schema"]["properties"]["answer"]["enum"] == ["yes", "no", "unsure"]


async def test_a_question_that_no_dialect_carries_is_not_remembered_as_one(server: Server) -> None:
    server.replies = [http(b"too long", 400)]
    endpoint = model(server)
    for _ in range(2):
        with pytest.raises(ModelAnswerUnusable, match="did not accept the question"):
            await ask(endpoint)
    assert [r["response_format"]["type"] for r in server.requests] == ["json_schema", "json_object"] * 2


def token(text: str, **top: float) -> dict[str, Any]:
    others = [{"token": t, "logprob": math.log(p)} for t, p in top.items()]
    return {"token": text, "logprob": 0.0, "top_logprobs": others}


def with_logprobs(*tokens: dict[str, Any]) -> dict[str, Any]:
    return completion("".join(t["token"] for t in tokens), logprobs={"content": list(tokens)})


HEAD = token('{"evidence":["restarts"],"answer":"')


@pytest.mark.parametrize(("answer", "confidence"), [
    (with_logprobs(HEAD, token("yes", yes=0.6, no=0.2, maybe=0.2), token('"}')), 75),
    (with_logprobs(HEAD, token("y", y=0.9, n=0.1), token("es"), token('"}')), 90),
    (with_logprobs(token('{"evidence":[],"answer":'), token('"yes', **{'"yes': 0.5, '"no': 0.5}), token('"}')), 50),
    (with_logprobs(HEAD, token("yes"), token('"}')), None),                             # no alternatives given
    (with_logprobs(HEAD, token("yes", maybe=1.0), token('"}')), None),                  # no label among them
    (completion(logprobs={"content": [token("something else", yes=1.0)]}), None),       # tokens of another text
    (completion(logprobs={"content": None}), None),
    (completion(logprobs=None), None),
])
async def test_confidence_is_the_share_among_the_labels_or_nothing(
    server: Server, answer: dict[str, Any], confidence: int | None,
) -> None:
    server.replies = [http(answer)]
    verdict = await ask(model(server, features=("logprobs",)))
    assert server.requests[0]["top_logprobs"] == 20
    assert verdict.confidence_percent == confidence


async def test_a_prompt_that_cannot_fit_is_not_sent_to_be_cut_silently(server: Server) -> None:
    server.replies = [http(completion())]
    with pytest.raises(ModelAnswerUnusable, match="does not fit"):
        await ask(model(server, context_tokens=len(prompt("Is it broken?", FACTS, SNAPSHOT)) // 4 - 1))
    assert server.requests == []


async def test_no_more_than_the_allowed_requests_leave_in_a_minute(server: Server) -> None:
    server.replies = [http(completion())]
    endpoint = model(server, requests_per_minute=2)
    await ask(endpoint)
    await ask(endpoint)
    with pytest.raises(ModelAway, match="requestsPerMinute") as caught:
        await ask(endpoint)
    assert 50 < caught.value.after <= 60
    assert len(server.requests) == 2


async def test_no_more_calls_at_once_than_allowed_and_waiting_counts_against_the_deadline(server: Server) -> None:
    server.replies = [silence]
    endpoint = model(server, max_concurrency=1)
    results = await asyncio.gather(*(ask(endpoint, 0.3) for _ in range(4)), return_exceptions=True)
    assert all(isinstance(r, ModelAway) for r in results)
    assert len(server.requests) <= 2


async def test_a_probe_tells_what_works(server: Server) -> None:
    good = http(completion({"evidence": ["none"], "answer": "no"}))
    server.replies = [good, good]
    assert (await model(server).probe()).features == ("json_schema", "deterministic")
    server.replies = [http(completion("hello"))]
    probe = await model(server).probe()
    assert (probe.answers, probe.features) == (True, ())
    server.replies = [http(b"", 503, retry_after="0")]
    assert not (await model(server).probe()).answers
    server.replies = [http(b"", 404)]
    assert not (await model(server).probe()).answers


@pytest.mark.parametrize(("given", "url"), [
    ("http://h:1", "http://h:1/v1/chat/completions"), ("http://h:1/", "http://h:1/v1/chat/completions"),
    ("http://h/v1", "http://h/v1/chat/completions"), ("http://h/v1/", "http://h/v1/chat/completions"),
    ("https://h/openai/v1", "https://h/openai/v1/chat/completions"),
    ("http://h/v1/chat/completions", "http://h/v1/chat/completions")])
def test_the_url_may_or_may_not_end_in_v1(given: str, url: str) -> None:
    assert completions_url(given) == url


@pytest.mark.parametrize("given", ["ftp://h", "h:80", "http://", "http://u:p@h", "http://h?x=1", "http://h#x", "http://h:99999999"])
def test_a_url_that_cannot_be_meant_is_refused(given: str) -> None:
    with pytest.raises(AkesoError):
        completions_url(given)
