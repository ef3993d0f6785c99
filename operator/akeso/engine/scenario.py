"""A frozen scenario: reading `scenario.yaml` into the very Snapshot that a live decision would see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from akeso.clock import format_time, parse_time
from akeso.errors import InvalidInput
from akeso.ingest import webhook
from akeso.ingest.frozen import FrozenCluster
from akeso.ingest.targets import resolve
from akeso.model.alert import Alert
from akeso.model.evidence import PastAction, Series, Snapshot
from akeso.model.objects import Kind, Object, ObjectRef, kind_named

NEXT: Final = "compare it with tests/scenarios/F01/scenario.yaml"
Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `candidates` empty means every registered remedy; right and harmful are names of decisions."""

    id: str
    title: str
    snapshot: Snapshot
    candidates: Sequence[str] = ()
    right: Sequence[str] = ()
    harmful: Sequence[str] = ()
    others: Sequence[Snapshot] = ()  # the same seen from the other objects that alerts of the notification are about


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML without the datetime type: times stay the text that the API server sent."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> Raw:
    """The file as a mapping. Raises InvalidInput."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 derived from SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(f"{path} cannot be read", why=str(error)[:300], next_step=NEXT) from error
    if not isinstance(raw, Mapping):
        raise InvalidInput(f"{path} holds no mapping", next_step=NEXT)
    return raw


async def build(raw: Raw, name: str = "") -> Scenario:
    """A Scenario from its mapping; unknown keys are ignored. Raises InvalidInput."""
    now = parse_time(_text(raw.get("now")))
    if now is None:
        raise InvalidInput("The scenario has no clock", why=f"now is {raw.get('now')!r}", next_step=NEXT)
    alerts = alerts_of(raw.get("alert"), now)
    objects, events = _objects(raw.get("objects")), _objects(raw.get("events"), "Event")
    logs = {str(k): str(v) for k, v in _mapping(raw.get("logs")).items()}
    targets = await _targets(alerts, FrozenCluster(objects, events, logs))
    target, alerts = targets[0]
    expect = _mapping(raw.get("expect"))
    snapshot = Snapshot(
        now=now,
        alerts=alerts,
        target=target,
        objects=objects,
        events=events,
        logs=logs,
        series=_series(raw.get("series")),
        history=_history(raw.get("history")),
        missing={str(k): str(v) for k, v in _mapping(raw.get("missing")).items()},
    )
    return Scenario(
        str(raw.get("id") or name),
        str(raw.get("title", "")),
        snapshot,
        _names(raw.get("candidates")),
        _names(expect.get("right")),
        _names(expect.get("harmful")),
        tuple(replace(snapshot, target=other, alerts=seen) for other, seen in targets[1:]),
    )


async def _targets(
    alerts: tuple[Alert, ...], reader: FrozenCluster,
) -> list[tuple[ObjectRef | None, tuple[Alert, ...]]]:
    """Every object that an alert is about, each with the alerts so ordered that its own comes first.

    Live, each of them is a run of its own. An alert that names no object, such as a Watchdog, hides no other.
    """
    firing = [a for a in alerts if a.status == "firing"] or list(alerts)
    found: dict[str, tuple[ObjectRef | None, tuple[Alert, ...]]] = {}
    for one in firing:
        target = (await resolve(one, reader)).target
        if target is not None and target.key not in found:
            found[target.key] = (target, (one, *(a for a in alerts if a is not one)))
    return list(found.values()) or [(None, alerts)]


def alerts_of(raw: Any, now: datetime) -> tuple[Alert, ...]:
    """The alerts of an Alertmanager payload; of one alert alone; or of a list of alerts. Raises InvalidInput."""
    if isinstance(raw, Mapping) and "alerts" not in raw and "labels" in raw:
        raw = [raw]
    given: dict[str, Any] = {"alerts": list(raw)} if isinstance(raw, list) else dict(_mapping(raw))
    found = given.get("alerts")
    if not isinstance(found, list) or not found:
        raise InvalidInput("The scenario has no alert", next_step=NEXT)
    common = {k: _mapping(given.get(f"common{k.capitalize()}")) for k in ("labels", "annotations")}
    filled = []
    for one in found:
        alert = {"startsAt": format_time(now), "status": "firing", **_mapping(one)}
        for key, shared in common.items():
            alert[key] = {**shared, **_mapping(alert.get(key))}
        if parse_time(_text(alert.get("startsAt"))) is None:
            alert["startsAt"] = format_time(now)
        filled.append(alert)
    body = {
        "version": "4",
        "status": "firing",
        "receiver": "akeso",
        "groupKey": "{}",
        "externalURL": "http://alertmanager",
        **given,
        "alerts": filled,
    }
    parsed = webhook.parse(orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS))
    if not parsed.alerts:
        raise InvalidInput("The scenario's alert cannot be used", why="; ".join(parsed.rejected), next_step=NEXT)
    return parsed.alerts


def _text(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value if isinstance(value, str) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(v) for v in value) if isinstance(value, list) else ()


def _objects(value: Any, kind: str = "") -> tuple[Object, ...]:
    """Mappings with a kind; a List is unfolded, as `kubectl get -o yaml` writes one."""
    found: list[Object] = []
    for one in value if isinstance(value, list) else ():
        if not isinstance(one, Mapping):
            continue
        if str(one.get("kind", "")).endswith("List") and isinstance(one.get("items"), list):
            found += _objects(one["items"], str(one["kind"]).removesuffix("List"))
        elif one.get("kind") or kind:
            found.append(one if one.get("kind") else {"apiVersion": "v1", "kind": kind, **one})
    return tuple(o for o in found if isinstance(o.get("metadata", {}), Mapping))


def _series(value: Any) -> tuple[Series, ...]:
    """Series whose samples are numbers; a sample that is none is left out."""
    found = []
    for one in value if isinstance(value, list) else ():
        labels = {str(k): str(v) for k, v in _mapping(_mapping(one).get("metric")).items()}
        points = [p for pair in _mapping(one).get("values") or () if (p := _point(pair)) is not None]
        if labels and points:
            found.append(Series(labels, tuple(sorted(points))))
    return tuple(found)


def _point(pair: Any) -> tuple[float, float] | None:
    try:
        at, value = (float(part) for part in pair)
    except (TypeError, ValueError):
        return None
    return (at, value) if value == value and abs(value) != float("inf") else None


def _history(value: Any) -> tuple[PastAction, ...]:
    found = []
    for one in value if isinstance(value, list) else ():
        raw = _mapping(one)
        at = parse_time(_text(raw.get("at")))
        target = raw.get("target")
        if at is None or not raw.get("action"):
            continue
        key = target if isinstance(target, str) else _key(_mapping(target))
        found.append(
            PastAction(at, str(raw.get("workflow", "")), str(raw["action"]), key, str(raw.get("outcome", "")))
        )
    return tuple(found)


def _key(target: Raw) -> str:
    name = str(target.get("kind", ""))
    kind = kind_named(name) or Kind("", "v1", name, f"{name.lower()}s")
    return ObjectRef(kind, str(target.get("namespace", "")), str(target.get("name", ""))).key
