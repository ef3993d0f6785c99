"""Alertmanager's webhook, version 4, as versions 0.25 to 0.34 (and Grafana) really send it.

Unknown fields are ignored, since the payload grows: `notification_reason` came in 0.32, `routeLabels` in 0.34. One bad
alert costs only itself. What comes out can be stored: no NUL, no lone surrogate, no zero time, bounded lengths.
"""
from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn

import orjson

from akeso.clock import parse_time
from akeso.errors import InvalidInput
from akeso.ingest.sources import canonical
from akeso.model.alert import Alert, AlertStatus

EXPECTED: Final = 'send {"version": "4", "externalURL": "…", "alerts": [{"status", "labels", "startsAt", …}]}'
_FINGERPRINT: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")  # it becomes a Kubernetes label too
_QUOTED: Final = re.compile(r"\\([\\.+*?()|\[\]{}^$])")
_KINDS: Final = {
    dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number",
}
_EPOCH_YEAR, _LAST_YEAR = 1970, 9998


@dataclass(frozen=True, slots=True)
class Limits:
    """What one notification may hold. Counts, and lengths in characters."""

    alerts: int = 2_000
    labels: int = 64
    label_name: int = 256
    label_value: int = 4_096
    annotations: int = 32
    annotation_value: int = 4_096


@dataclass(frozen=True, slots=True)
class Notification:
    """A parsed POST.

    alerts     those that can be used
    truncated  alerts that Alertmanager left out by its max_alerts, and those beyond our own limit
    rejected   one line per alert that cannot be used: where and why
    source     identity of the Alertmanager
    """

    alerts: tuple[Alert, ...]
    truncated: int
    receiver: str
    source: str
    rejected: tuple[str, ...] = ()


class _BadAlertError(Exception):
    """This alert cannot be used; the text says why."""


def parse(body: bytes, limits: Limits | None = None, *, identify: Callable[[str], str] = canonical) -> Notification:
    """A notification from the bytes of a POST. Raises InvalidInput for what is no notification at all.

    identify  from externalURL to the source's identity (`Sources.of`)
    """
    limits = limits or Limits()
    payload = _payload(body)
    given: list[Any] = payload["alerts"]
    receiver = _QUOTED.sub(r"\1", _text(payload.get("receiver"), 512))
    source = identify(_text(payload.get("externalURL"), 2_048))
    group_key, status = _text(payload.get("groupKey"), 4_096), payload.get("status")
    alerts, rejected = [], []
    for index, raw in enumerate(given[:limits.alerts]):
        try:
            alerts.append(_alert(raw, status, group_key, receiver, source, limits))
        except _BadAlertError as bad:
            rejected.append(f"alerts[{index}]{bad}")
    left_out = payload.get("truncatedAlerts")
    truncated = left_out if type(left_out) is int and 0 < left_out < 2**31 else 0
    beyond = max(0, len(given) - limits.alerts)
    if beyond:
        rejected.append(f"alerts[{limits.alerts}] and after: {beyond} too many, {limits.alerts} are taken at once")
    return Notification(tuple(alerts), truncated + beyond, receiver, source, tuple(rejected))


def alert_from(raw: Any, *, status: str, source: str, limits: Limits | None = None) -> Alert:
    """One alert as Alertmanager's API v2 lists it; its `status` is an object there and its `endsAt` a deadline.

    Raises InvalidInput.
    """
    try:
        without = {k: v for k, v in raw.items() if k not in ("status", "endsAt")} if isinstance(raw, dict) else raw
        return _alert(without, status, "", "", source, limits or Limits())
    except _BadAlertError as bad:
        raise InvalidInput("The alert cannot be used", why=f"alert{bad}") from None


def _payload(body: bytes) -> dict[str, Any]:
    if not body.strip():
        _refuse("the body is empty")
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _refuse(f"the body is not JSON: {error}"[:300])
    if isinstance(payload, list):
        _refuse("the body is a list, as Prometheus posts to Alertmanager; this receives Alertmanager's webhook")
    if not isinstance(payload, dict):
        _refuse(f"the body is {_kind(payload)}, not an object")
    if not isinstance(payload.get("alerts"), list):
        there = f"is {_kind(payload['alerts'])}, not a list" if "alerts" in payload else "is missing"
        _refuse(f"`alerts` {there}")
    return payload


def _refuse(why: str) -> NoReturn:
    raise InvalidInput("This is not an Alertmanager notification", why=why, next_step=EXPECTED)


def _alert(raw: Any, status: Any, group_key: str, receiver: str, source: str, limits: Limits) -> Alert:
    if not isinstance(raw, dict):
        raise _BadAlertError(f" is {_kind(raw)}, not an object")
    labels = _labels(raw.get("labels"), limits)
    return Alert(
        fingerprint=_fingerprint(raw.get("fingerprint"), labels),
        status=_status(raw.get("status") or status),
        labels=labels,
        annotations=_annotations(raw.get("annotations"), limits),
        starts_at=_start(raw),
        ends_at=_end(raw),
        generator_url=_text(raw.get("generatorURL"), 2_048),
        group_key=group_key, receiver=receiver, source=source,
    )


def _status(given: Any) -> AlertStatus:
    if given == "firing":
        return "firing"
    if given == "resolved":
        return "resolved"
    raise _BadAlertError(f".status is {_shown(given)}, not firing or resolved")


def _labels(given: Any, limits: Limits) -> Mapping[str, str]:
    """The labels unchanged: they are the identity, so what does not fit is refused and never cut."""
    if not isinstance(given, dict) or not given:
        raise _BadAlertError(f".labels is {'missing' if given is None else _kind(given)}, not an object with labels")
    if len(given) > limits.labels:
        raise _BadAlertError(f".labels holds {len(given)} labels, at most {limits.labels} are taken")
    for name, value in given.items():
        if type(value) is not str:
            raise _BadAlertError(f".labels[{_shown(name)}] is {_kind(value)}, not a text")
        if not name or len(name) > limits.label_name or len(value) > limits.label_value:
            sizes = f"{len(name)} and {len(value)} characters"
            raise _BadAlertError(f".labels[{_shown(name)}] is empty or too long ({sizes})")
        if "\0" in value or "\0" in name:
            raise _BadAlertError(f".labels[{_shown(name)}] holds a NUL character")
    if not given.get("alertname"):
        raise _BadAlertError(".labels holds no alertname")
    return given


def _annotations(given: Any, limits: Limits) -> Mapping[str, str]:
    """Annotations are for people and decide nothing: what does not fit is cut or left out."""
    if not isinstance(given, dict):
        return {}
    return {
        _text(name, limits.label_name): _text(value, limits.annotation_value)
        for name, value in list(given.items())[:limits.annotations] if isinstance(value, str)
    }


def _fingerprint(given: Any, labels: Mapping[str, str]) -> str:
    """As given, or for senders without one the sha256 of the sorted labels, cut to what a Kubernetes label may hold."""
    if given in (None, ""):
        return hashlib.sha256(orjson.dumps(labels, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    if type(given) is not str or not _FINGERPRINT.fullmatch(given):
        raise _BadAlertError(f".fingerprint is {_shown(given)}, not 1 to 63 letters and digits")
    return given


def _start(raw: Mapping[str, Any]) -> datetime:
    """The start, cut to milliseconds: the webhook sends nanoseconds, the API cuts them, and it is the identity."""
    value = _parsed(raw.get("startsAt"))
    if value is None:
        raise _BadAlertError(f".startsAt is {_shown(raw.get('startsAt'))}, not an RFC 3339 time from {_EPOCH_YEAR} on")
    return value.replace(microsecond=value.microsecond // 1_000 * 1_000)


def _end(raw: Mapping[str, Any]) -> datetime | None:
    """None for Go's zero time, which means that it has not ended; None as well for what is no time."""
    return _parsed(raw.get("endsAt"))


def _parsed(given: Any) -> datetime | None:
    if type(given) is not str or len(given) > 64:
        return None
    try:
        value = parse_time(given)
    except OverflowError:  # 9999-12-31T23:59:59-01:00 is after the last moment that Python knows
        return None
    return value if value is not None and _EPOCH_YEAR <= value.year <= _LAST_YEAR else None


def _text(given: Any, limit: int) -> str:
    return given[:limit].replace("\0", "\N{REPLACEMENT CHARACTER}") if type(given) is str else ""


def _shown(given: Any) -> str:
    return repr(given)[:80]


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "null")
