"""POST /chat/completions as OpenAI describes it and llama.cpp, Ollama and vLLM serve it (design/decisions.md D.3).

The answer is constrained by a JSON schema where the server can, and validated here whatever it promises. Two dialects
of `response_format` are spoken: `json_schema` first; a server that rejects it is asked with `json_object` + `schema`,
and that is remembered. llama-cpp-python 0.3 is one: it says so with a 500 that names `response_format` (seen).
"""
from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import orjson

from akeso.decide.prompt import Prompt, prompt, schema
from akeso.decide.providers.answer import read
from akeso.decide.providers.probe import Probe
from akeso.errors import InvalidInput, ModelAnswerUnusable, ModelAway
from akeso.model.evidence import Facts, Snapshot
from akeso.model.names import Reason
from akeso.model.verdict import Answer, Verdict

MAX_BODY = 262_144    # bytes of an answer; 20 logprobs for each of 256 tokens are about 150 kB
MAX_TOKENS = 256      # five names of facts and a label are about 60
SEED = 7
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
MAX_WAIT = 10.0       # seconds that Retry-After may ask for
DIALECTS = ("json_schema", "json_object")


class OpenAICompatible:
    """An `Ask` over HTTP. One client per call: a call takes seconds, and nothing is left open when a spec changes."""

    def __init__(
        self, *, url: str, model: str, credential: str | None = None, ca: str | None = None,
        features: Sequence[str] = (), timeout_seconds: float = 30.0, temperature: float = 0.0,
        max_concurrency: int = 4, requests_per_minute: int | None = None, context_tokens: int | None = None,
    ) -> None:
        """Raises InvalidInput where the URL, the credential or the CA cannot be used."""
        self.url = completions_url(url)
        self.model = model
        self.timeout_seconds = timeout_seconds
        self._headers = {"accept-encoding": "identity", "user-agent": "akeso", **_authorization(credential)}
        self._tls = _tls(ca) if self.url.startswith("https:") else None
        self._logprobs = "logprobs" in features
        self._temperature = temperature
        self._slots = asyncio.Semaphore(max_concurrency)
        self._per_minute = requests_per_minute
        self._sent: deque[float] = deque()
        self._context_tokens = context_tokens
        self._dialect = 0

    async def ask(self, question: str, facts: Facts, snapshot: Snapshot, *, timeout: float) -> Verdict:
        """yes, no or unsure with the facts cited. Raises ModelAway, ModelAnswerUnusable, both within the deadline."""
        text = prompt(question, facts, snapshot)
        if self._context_tokens is not None and len(text) > 4 * self._context_tokens:  # a token is rarely longer
            raise ModelAnswerUnusable("The evidence does not fit into the model's context",
                                      why=f"{len(text)} characters, {self._context_tokens} tokens")
        body = await self._within(timeout, text, text.names, self._logprobs)
        label, cited, confidence = read(body, text.names)
        resting = f", citing {', '.join(cited)}" if cited else ", citing no fact"
        reason = Reason.UNCERTAIN if label == "unsure" else Reason.ANSWERED
        return Verdict(Answer(label), f"model:{self.model}", reason, f"the model says {label}{resting}", cited,
                       confidence_percent=confidence)

    async def probe(self, *, timeout: float = 30.0) -> Probe:
        """Asks twice for something outside the schema: a server that keeps it answers inside it all the same."""
        text = Prompt("You are being tested.", 'Reply with the single word "hello" and nothing else.', ("none",))
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            first = await self._within(timeout, text, text.names, logprobs=False)
            latency = round(1000 * (loop.time() - started))
            second = await self._within(timeout, text, text.names, logprobs=True)
        except ModelAway as error:
            return Probe(False, str(error))
        except ModelAnswerUnusable as error:
            return Probe(False, f"it answers, but not as a chat completion: {error}")
        try:
            one, two = read(first, text.names), read(second, text.names)
        except ModelAnswerUnusable:
            return Probe(True, "it answers, but does not keep the JSON schema: most answers will be unusable", latency)
        found = {"json_schema": True, "deterministic": one[:2] == two[:2], "logprobs": two[2] is not None}
        features = tuple(name for name, works in found.items() if works)
        return Probe(True, f"it answers and keeps the JSON schema ({latency} ms)", latency, features)

    async def _within(self, timeout: float, text: Prompt, names: tuple[str, ...], logprobs: bool) -> bytes:
        deadline = min(timeout, self.timeout_seconds)
        try:
            async with asyncio.timeout(deadline), self._slots:
                self._spend()
                return await self._converse(text, names, logprobs)
        except TimeoutError as error:
            raise ModelAway(why=f"no answer within {deadline:g} s") from error
        except httpx.HTTPError as error:  # connection refused, reset, not HTTP, TLS not trusted
            raise ModelAway(why=f"{type(error).__name__}: {str(error)[:200]}") from error

    def _spend(self) -> None:
        """One of the requests that a minute may have. Raises ModelAway where none is left."""
        if self._per_minute is None:
            return
        now = asyncio.get_running_loop().time()
        while self._sent and self._sent[0] <= now - 60:
            self._sent.popleft()
        if len(self._sent) >= self._per_minute:
            raise ModelAway("The endpoint's requestsPerMinute is used up", after=self._sent[0] + 60 - now)
        self._sent.append(now)

    async def _converse(self, text: Prompt, names: tuple[str, ...], logprobs: bool) -> bytes:
        retried, dialect = False, self._dialect
        async with httpx.AsyncClient(
            verify=self._tls or False, trust_env=False, follow_redirects=False, timeout=None,  # noqa: S113 asyncio.timeout
        ) as client:
            while True:
                status, headers, body = await self._post(client, self._request(text, names, logprobs, dialect))
                if status == 200:
                    self._dialect = dialect
                    return body
                if _rejects_format(status, body) and dialect + 1 < len(DIALECTS):
                    dialect += 1
                elif status in RETRIED and not retried:
                    retried = True
                    await asyncio.sleep(_retry_after(headers))
                else:
                    raise _refusal(status)

    async def _post(self, client: httpx.AsyncClient, body: bytes) -> tuple[int, httpx.Headers, bytes]:
        headers = {**self._headers, "content-type": "application/json"}
        async with client.stream("POST", self.url, content=body, headers=headers) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ModelAnswerUnusable("The model's server compressed its answer unasked")
            parts = bytearray()
            async for part in response.aiter_raw():
                parts += part
                if len(parts) > MAX_BODY:
                    raise ModelAnswerUnusable("The model's answer is too large", why=f"more than {MAX_BODY} bytes")
            return response.status_code, response.headers, bytes(parts)

    def _request(self, text: Prompt, names: tuple[str, ...], logprobs: bool, dialect: int) -> bytes:
        messages = [{"role": "system", "content": text.system}, {"role": "user", "content": text.user}]
        request: dict[str, Any] = {
            "model": self.model, "messages": messages, "temperature": self._temperature, "seed": SEED,
            "max_tokens": MAX_TOKENS, "stream": False, "response_format": _format(DIALECTS[dialect], names),
        }
        if logprobs:
            request |= {"logprobs": True, "top_logprobs": 20}
        return orjson.dumps(request)


def completions_url(url: str) -> str:
    """`http://host` means `/v1`; a path, such as `/v1` or `/openai/v1`, is taken as it is. Raises InvalidInput."""
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise InvalidInput("The model's URL cannot be used", why=str(error)) from error
    usable = parsed.scheme in ("http", "https") and parsed.host and 0 < (parsed.port or 80) < 65536
    if not usable or parsed.userinfo or parsed.query or parsed.fragment:
        raise InvalidInput("The model's URL cannot be used", why="it must be http(s)://host[:port][/path] and no more",
                           next_step="give the key with `credentialsSecretRef`")
    path = parsed.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return str(parsed.copy_with(path=f"{path}/chat/completions"))


def _format(dialect: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    if dialect == "json_object":
        return {"type": "json_object", "schema": schema(names)}
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema(names)}}


def _authorization(credential: str | None) -> dict[str, str]:
    if not credential:
        return {}
    if not credential.isascii() or not credential.isprintable():
        raise InvalidInput("The model's key cannot be used", why="it holds characters that a header cannot carry",
                           next_step="write the key alone into the Secret")
    return {"authorization": f"Bearer {credential}"}


def _tls(ca: str | None) -> ssl.SSLContext:
    """The system's authorities, or only the one given."""
    try:
        return ssl.create_default_context(cadata=ca or None)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidInput("The model's certificate authority cannot be used", why=str(error)[:200],
                           next_step="write a PEM certificate into the Secret of `caSecretRef`") from error


def _rejects_format(status: int, body: bytes) -> bool:
    return status in (400, 422) or (status == 500 and b"response_format" in body)


def _retry_after(headers: httpx.Headers) -> float:
    """Seconds to wait. A date instead of a number, or nonsense, means one second."""
    text = headers.get("retry-after", "")
    return min(float(text), MAX_WAIT) if text.isascii() and text.isdigit() else 1.0


def _refusal(status: int) -> ModelAway | ModelAnswerUnusable:
    if status in RETRIED or status >= 500:
        return ModelAway(why=f"HTTP {status}")
    if status in (401, 403):
        return ModelAnswerUnusable("The model's server did not accept the key", why=f"HTTP {status}",
                                   next_step="check `credentialsSecretRef` of the ModelEndpoint")
    return ModelAnswerUnusable("The model's server did not accept the question", why=f"HTTP {status}",
                               next_step="check `url`, `model` and `contextTokens` of the ModelEndpoint")
