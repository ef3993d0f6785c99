"""Secrets out of texts and objects, before anything is kept, shown to a model or sent away (design/security.md).

Pure and idempotent. It errs towards removing: a redacted harmless value costs a look at the cluster, a kept secret
costs a rotation. It does not promise to find a secret that neither looks like one nor stands behind a telling name.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

REDACTED: Final = "[redacted]"
MAX_DEPTH: Final = 64  # deeper nesting than the API server accepts is cut, not followed

_NAMES = (
    r"pass(?:word|wd|phrase)?|pwd|secret(?:[-_]?(?:access)?[-_]?key)?|token|api[-_]?key|access[-_]?key(?:[-_]?id)?"
    r"|private[-_]?key|client[-_]?secret|credentials?|authorization|cookie|session[-_]?id|dsn|signature"
)
_SECRET_NAME: Final = re.compile(rf"(?:{_NAMES})s?$", re.IGNORECASE)
# Each pattern is linear: its repeated classes exclude what follows them, or are bounded.
_TEXTS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL,
    ), REDACTED),
    (re.compile(
        r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\\?[\"']?\s{0,4}[:=]\s{0,4})[^\r\n]+",
    ), rf"\1\2{REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic)(\s{1,4})[a-z0-9._~+/=-]{8,}"), rf"\1\2{REDACTED}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"), REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"), REDACTED),
    (re.compile(
        r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-|sk_live_|rk_live_|AIza|hvs\.|npm_)[A-Za-z0-9_-]{10,}",
    ), REDACTED),
    (re.compile(r"(?<=://)[^\s/@:]{0,256}:[^\s/@]{1,256}(?=@)"), REDACTED),
    (re.compile(
        rf"(?i)((?:{_NAMES})s?\\?[\"']?\s{{0,4}}(?>=>|:=|=|:)\s{{0,4}}+)(?!\s|\[redacted\])"
        r"(?:\\?\"[^\"\r\n]*\"?|'[^'\r\n]*'?|[^\s,;&\"'}\])]+)",
    ), rf"\1{REDACTED}"),
)


def redact(text: str) -> str:
    """The text with what looks like a secret replaced by `[redacted]`."""
    for pattern, replacement in _TEXTS:
        text = pattern.sub(replacement, text)
    return text


def redact_object(obj: Mapping[str, Any]) -> dict[str, Any]:
    """A copy fit to keep: env values, Secret and ConfigMap data, and secrets in any string are gone, as are
    managedFields and the last-applied annotation, which repeats the whole object as one string."""
    clean = {key: _value(key, value, 0) for key, value in obj.items()}
    if obj.get("kind") in ("Secret", "ConfigMap"):
        for key in ("data", "stringData", "binaryData"):
            if isinstance(obj.get(key), Mapping):
                clean[key] = dict.fromkeys(obj[key], REDACTED)
    return clean


def _value(key: str, value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        return {str(k): _value(str(k), v, depth + 1) for k, v in value.items() if k not in _DROPPED}
    if isinstance(value, list | tuple):
        if key == "env":
            return [_env(item, depth + 1) for item in value]
        return _arguments(value, depth) if key in ("args", "command") else [_value(key, v, depth + 1) for v in value]
    if isinstance(value, str):
        return REDACTED if value and _SECRET_NAME.search(key) else redact(value)
    return value


_DROPPED: Final = ("managedFields", "kubectl.kubernetes.io/last-applied-configuration")


def _env(item: Any, depth: int) -> Any:
    if not isinstance(item, Mapping):
        return REDACTED
    return {str(k): REDACTED if k == "value" else _value(str(k), v, depth) for k, v in item.items()}


def _arguments(words: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
    """`--password hunter2` hides its value in the next word."""
    clean: list[Any] = []
    hide = False
    for word in words:
        clean.append(REDACTED if hide else _value("", word, depth + 1))
        hide = isinstance(word, str) and word.startswith("-") and "=" not in word and bool(_SECRET_NAME.search(word))
    return clean
