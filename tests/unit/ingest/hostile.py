"""Bodies that a hostile or broken sender may post. None may cost more than itself."""

from __future__ import annotations

import json
from typing import Any

GOOD: dict[str, Any] = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-20T12:00:00Z"}


def one(**changes: Any) -> bytes:
    """A notification with one alert that differs from a good one; None takes a field away."""
    alert = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    return json.dumps({"version": "4", "alerts": [alert]}).encode()


def top(**fields: Any) -> bytes:
    return json.dumps({"alerts": [GOOD], **fields}).encode()


# Not a notification at all.
GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "text": b"hello",
    "html": b"<html></html>",
    "form": b"a=1&b=2",
    "null": b"null",
    "number": b"7",
    "true": b"true",
    "string": b'"alerts"',
    "list": b"[]",
    "api v2 list": b'[{"labels":{"alertname":"A"}}]',
    "object": b"{}",
    "alerts null": b'{"alerts":null}',
    "alerts object": b'{"alerts":{}}',
    "alerts text": b'{"alerts":"x"}',
    "truncated": b'{"alerts":[{"status":"firing"',
    "two documents": b'{"alerts":[]}{"alerts":[]}',
    "nul byte": b'{"alerts":[]}\x00',
    "only nul": b"\x00" * 100,
    "latin-1": b'{"alerts":[],"x":"\xe9"}',
    "overlong utf-8": b'{"alerts":[],"x":"\xc0\x80"}',
    "utf-8 surrogate": b'{"alerts":[],"x":"\xed\xa0\x80"}',
    "lone surrogate": b'{"alerts":[{"labels":{"alertname":"\\ud800"}}]}',
    "utf-16": '{"alerts":[]}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + b'{"alerts":[]}',
    "nan": b'{"alerts":NaN}',
    "deep list": b'{"alerts":' + b"[" * 100_000,
    "deep object": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 50,
    "trailing comma": b'{"alerts":[],}',
    "comments": b'{"alerts":[]} // x',
    "single quotes": b"{'alerts':[]}",
}

# A notification whose only alert cannot be used.
UNUSABLE: dict[str, bytes] = {
    "alert null": b'{"alerts":[null]}',
    "alert text": b'{"alerts":["x"]}',
    "alert list": b'{"alerts":[[]]}',
    "no labels": one(labels=None),
    "labels list": one(labels=[]),
    "labels empty": one(labels={}),
    "label number": one(labels={"alertname": 7}),
    "label null": one(labels={"alertname": "A", "x": None}),
    "label object": one(labels={"alertname": "A", "x": {"y": 1}}),
    "no alertname": one(labels={"x": "y"}),
    "empty alertname": one(labels={"alertname": ""}),
    "empty label name": one(labels={"alertname": "A", "": "x"}),
    "nul in label": one(labels={"alertname": "A", "pod": "a\0b"}),
    "nul in name": one(labels={"alertname": "A", "a\0b": "c"}),
    "huge label": one(labels={"alertname": "A", "x": "y" * 100_000}),
    "huge name": one(labels={"alertname": "A", "y" * 10_000: "x"}),
    "many labels": one(labels={"alertname": "A", **{f"l{n}": "x" for n in range(1000)}}),
    "status missing": one(status=None),
    "status number": one(status=1),
    "status unknown": one(status="suppressed"),
    "start missing": one(startsAt=None),
    "start number": one(startsAt=1795200000),
    "start text": one(startsAt="yesterday"),
    "start zero": one(startsAt="0001-01-01T00:00:00Z"),
    "start too early": one(startsAt="1900-01-01T00:00:00Z"),
    "start too late": one(startsAt="9999-12-31T23:59:59-14:00"),
    "start year 10000": one(startsAt="10000-01-01T00:00:00Z"),
    "start negative": one(startsAt="-001-01-01T00:00:00Z"),
    "start huge": one(startsAt="2" * 100_000),
    "fingerprint number": one(fingerprint=5),
    "fingerprint path": one(fingerprint="../../x"),
    "fingerprint long": one(fingerprint="a" * 64),
    "fingerprint spaces": one(fingerprint="a b"),
    "fingerprint list": one(fingerprint=[]),
}

# Odd, and yet usable.
ODD: dict[str, bytes] = {
    "no alerts": b'{"alerts":[]}',
    "annotations list": one(annotations=[1]),
    "annotations null": one(annotations=None),
    "annotation object": one(annotations={"a": {"b": 1}, "c": "d"}),
    "nul in annotation": one(annotations={"a": "x\0y"}),
    "huge annotation": one(annotations={"a": "x" * 200_000}),
    "many annotations": one(annotations={str(n): "x" for n in range(5000)}),
    "end zero": one(endsAt="0001-01-01T00:00:00Z"),
    "end text": one(endsAt="soon"),
    "end list": one(endsAt=[]),
    "end overflow": one(endsAt="9999-12-31T23:59:59-14:00"),
    "generator number": one(generatorURL=7),
    "fingerprint empty": one(fingerprint=""),
    "receiver list": top(receiver=[1]),
    "externalURL number": top(externalURL=5),
    "externalURL bad port": top(externalURL="http://x:99999/"),
    "externalURL bracket": top(externalURL="http://[::"),
    "truncated text": top(truncatedAlerts="7"),
    "truncated negative": top(truncatedAlerts=-5),
    "truncated huge": top(truncatedAlerts=10**18),
    "truncated true": top(truncatedAlerts=True),
    "groupKey object": top(groupKey={}),
    "unknown fields": top(notification_reason="x", routeLabels={"a": "b"}, new={"deep": [[[1]]]}),
    "version 5": top(version="5"),
    "emoji": one(labels={"alertname": "\U0001f525", "x": "\u202e\u200b"}),
    "sql": one(labels={"alertname": "'; DROP TABLE signals; --"}),
    "duplicate keys": b'{"alerts":[{"labels":{"alertname":"A","alertname":"B"},"status":"firing",'
    b'"startsAt":"2026-01-01T00:00:00Z"}]}',
    "date only": one(startsAt="2026-11-20"),
    "offset": one(startsAt="2026-11-20T12:00:00+14:00"),
    "one good one bad": json.dumps({"alerts": [GOOD, {"x": 1}]}).encode(),
}
