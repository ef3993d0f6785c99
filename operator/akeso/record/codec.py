"""Model values as JSON and back, and text that Postgres can hold.

Everything in an alert is hostile: Postgres refuses NUL in text and jsonb, and UTF-8 has no lone surrogates. Both are
replaced by U+FFFD here, on the way into every statement; nothing else is changed.
"""
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson

from akeso.model.alert import Alert, Signal
from akeso.model.evidence import Fact, Facts, PastAction, Series, Snapshot, Tier
from akeso.model.objects import Kind, ObjectRef
from akeso.model.plan import Change, EffectClass, Intent, IntentState, Plan, Reversibility, Verb
from akeso.model.run import Run, RunPhase, StepPhase, StepRecord, StoryLine

loads = orjson.loads
Row = Mapping[str, Any]

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


def dumps(value: Any) -> str:
    """JSON that Postgres takes. Times become RFC 3339, dataclasses objects, NUL and lone surrogates U+FFFD."""
    try:
        text = orjson.dumps(value, default=_default, option=_OPTIONS)
    except orjson.JSONEncodeError:
        text = orjson.dumps(clean(value), default=_default, option=_OPTIONS)
    if b"\\u0000" in text:  # also true of an escaped backslash before it; cleaning that is only slow
        text = orjson.dumps(clean(loads(text)))
    return text.decode()


def _default(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return list(value)
    return str(value)


def clean(value: Any) -> Any:
    """A JSON-like value with every text cleaned, and integers beyond 64 bits as floats."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return float(value) if abs(value) < 10**300 else str(value)
    if hasattr(value, "__dataclass_fields__"):
        return clean(asdict(value))
    return value


def clean_text(text: str) -> str:
    """The text without NUL and lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def plain(value: Any) -> Any:
    """A parameter of a statement with its texts cleaned."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [clean_text(item) if isinstance(item, str) else item for item in value]
    return value


def bounded(text: str, limit: int = 512) -> str:
    """The text where it is short, else its beginning and its hash: an index entry of Postgres holds 2.7 kB."""
    text = clean_text(text)
    if len(text.encode()) <= limit:
        return text
    return f"{text[:64]}~{hashlib.sha256(text.encode()).hexdigest()}"


def moment(value: Any) -> datetime | None:
    """A time that came as JSON text or as a time."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def some_moment(value: Any) -> datetime:
    time = moment(value)
    if time is None:
        raise ValueError("a time is missing")
    return time


def ref_to_json(ref: ObjectRef) -> dict[str, Any]:
    return asdict(ref)


def ref_from_json(value: Row) -> ObjectRef:
    return ObjectRef(Kind(**value["kind"]), value["namespace"], value["name"], value.get("uid", ""))


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON values; `plan_from_json` gives a plan of the same hash."""
    return loads(dumps(plan))  # type: ignore[no-any-return]


def plan_from_json(value: Row) -> Plan:
    change = value["change"]
    return Plan(**{
        **value,
        "effect": EffectClass(value["effect"]),
        "reversibility": Reversibility(value["reversibility"]),
        "change": Change(**{**change, "verb": Verb(change["verb"]), "target": ref_from_json(change["target"])}),
    })


def intent_from(row: Row) -> Intent:
    return Intent(
        action_id=row["action_id"], run_id=str(row["run_id"]), step=row["step"], epoch=row["epoch"],
        plan=plan_from_json(row["plan"]), state=IntentState(row["state"]), message=row["message"],
    )


def facts_to_json(facts: Facts) -> dict[str, Any]:
    return {name: asdict(fact) for name, fact in facts.items()}


def facts_from_json(value: Row) -> Facts:
    return {
        name: Fact(fact["name"], tuple(fact["value"]) if isinstance(fact["value"], list) else fact["value"],
                   fact["source"], Tier(fact["tier"]))
        for name, fact in value.items()
    }


def alert_from_json(value: Row) -> Alert:
    return Alert(**{**value, "starts_at": some_moment(value["starts_at"]), "ends_at": moment(value["ends_at"])})


def snapshot_from_json(value: Row) -> Snapshot:
    """The Snapshot that `dumps` wrote."""
    return Snapshot(
        now=some_moment(value["now"]), alerts=[alert_from_json(a) for a in value["alerts"]],
        target=ref_from_json(value["target"]) if value["target"] else None,
        objects=value["objects"], events=value["events"], logs=value["logs"],
        series=[Series(s["labels"], tuple((t, v) for t, v in s["values"])) for s in value["series"]],
        history=[PastAction(**{**p, "at": some_moment(p["at"])}) for p in value["history"]],
        missing=value["missing"],
    )


def step_to_json(step: StepRecord, ordinal: int) -> dict[str, Any]:
    return {
        "name": step.name, "ordinal": ordinal, "phase": step.phase, "reason": step.reason, "message": step.message,
        "attempts": step.attempts, "started_at": step.started_at, "ended_at": step.ended_at, "data": step.data,
    }


def step_from(row: Row) -> StepRecord:
    return StepRecord(
        name=row["name"], phase=StepPhase(row["phase"]), reason=row["reason"], message=row["message"],
        attempts=row["attempts"], started_at=moment(row["started_at"]), ended_at=moment(row["ended_at"]),
        data=row["data"],
    )


def run_from(row: Row) -> Run:
    return Run(
        id=str(row["id"]), name=row["name"], namespace=row["namespace"], signal_id=str(row["signal_id"]),
        trigger=row["trigger"], workflow=row["workflow"], agent=row["agent"], phase=RunPhase(row["phase"]),
        epoch=row["epoch"], created_at=row["created_at"], started_at=row["started_at"], ended_at=row["ended_at"],
        wake_at=row["wake_at"], target=ref_from_json(row["target"]) if row["target"] else None,
        steps=tuple(step_from(step) for step in row["steps"] or ()), reason=row["reason"], message=row["message"],
    )


def signal_from(row: Row) -> Signal:
    alert = Alert(
        fingerprint=row["fingerprint"], status="firing" if row["resolved_at"] is None else "resolved",
        labels=row["labels"], annotations=row["annotations"], starts_at=row["starts_at"], ends_at=row["ends_at"],
        generator_url=row["generator_url"], group_key=row["group_key"], receiver=row["receiver"], source=row["source"],
    )
    return Signal(
        id=str(row["id"]), alert=alert, first_seen=row["first_seen"], last_seen=row["last_seen"],
        resolved_at=row["resolved_at"], deliveries=row["deliveries"], matched=tuple(row["matched"]),
    )


def story_from(row: Row) -> StoryLine:
    return StoryLine(at=row["at"], kind=row["kind"], reason=row["reason"], message=row["message"])


def past_action_from(row: Row) -> PastAction:
    return PastAction(row["at"], row["workflow"], row["action"], row["target"], row["outcome"])
