"""A cluster and its metrics as they were at one moment, behind the same ports as the live ones.

`akeso eval` decides over scenarios with these, by the very code that runs live. The contract is tested against a real
API server (tests/integration/ingest).
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from akeso.model.evidence import Series
from akeso.model.objects import Kind, Object, dig, labels_of

LOG_BYTES = 65_536  # what the live reader returns at most


class FrozenCluster:
    """A ClusterReader over whole objects as the API server returned them.

    objects  need `apiVersion`, `kind` and `metadata`
    events   core/v1 or events.k8s.io/v1 Events
    logs     by "namespace/pod/container" and "namespace/pod/container/previous"
    """

    def __init__(
        self, objects: Iterable[Object], events: Iterable[Object] = (), logs: Mapping[str, str] | None = None,
    ) -> None:
        self._logs = dict(logs or {})
        self._by_kind: dict[tuple[str, str], list[Object]] = {}
        for obj in [*objects, *events]:
            group = str(obj.get("apiVersion", "")).rpartition("/")[0]
            kind = str(obj.get("kind", ""))
            if kind == "Event":
                obj, group = _as_core_event(obj), ""
            self._by_kind.setdefault((group, kind), []).append(obj)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None where it does not exist."""
        wanted = (namespace if kind.namespaced else "", name)
        return next((o for o in self._all(kind) if _place(o, kind) == wanted), None)

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None, limit: int = 500,
    ) -> Sequence[Object]:
        """At most `limit` objects, ordered by namespace and name as etcd orders them."""
        found = [
            o for o in self._all(kind)
            if (not namespace or not kind.namespaced or _place(o, kind)[0] == namespace)
            and _carries(o, labels or {}) and _has_fields(o, fields or {})
        ]
        return sorted(found, key=lambda o: _place(o, kind))[:limit]

    async def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 100,
    ) -> str | None:
        """The tail of that container's text, or None where the scenario has none."""
        text = self._logs.get(f"{namespace}/{pod}/{container}" + ("/previous" if previous else ""))
        if text is None:
            return None
        tail = "".join(text.splitlines(keepends=True)[-tail_lines:])
        return tail.encode()[-LOG_BYTES:].decode(errors="ignore")

    def _all(self, kind: Kind) -> Sequence[Object]:
        return self._by_kind.get((kind.group, kind.kind), ())


class FrozenMetrics:
    """A MetricReader over recorded series; `now` is the end of every window."""

    def __init__(self, series: Iterable[Series], now: datetime) -> None:
        self._series = tuple(series)
        self._now = now.timestamp()

    async def select(self, metric: str, labels: Mapping[str, str], *, minutes: int = 60) -> Sequence[Series]:
        """As Prometheus' `metric{labels}[minutes m]`: a label that is absent equals the empty string."""
        start = self._now - 60 * minutes
        found = []
        for series in self._series:
            if series.metric == metric and all(series.labels.get(k, "") == v for k, v in labels.items()):
                values = tuple(sample for sample in series.values if start < sample[0] <= self._now)
                if values:
                    found.append(Series(series.labels, values))
        return found


def series_from(raw: Iterable[Mapping[str, Any]]) -> tuple[Series, ...]:
    """Series from `{"metric": {...}, "values": [[unix seconds, "number"], ...]}`, as Prometheus' API writes them."""
    return tuple(
        Series(
            {str(name): str(value) for name, value in one["metric"].items()},
            tuple((float(at), float(value)) for at, value in one["values"]),
        )
        for one in raw
    )


def _as_core_event(event: Object) -> Object:
    """The API server shows an events.k8s.io Event as a core/v1 one too; so do we."""
    if not str(event.get("apiVersion", "v1")).startswith("events.k8s.io/"):
        return event
    old = {"regarding": "involvedObject", "note": "message", "deprecatedCount": "count",
           "deprecatedFirstTimestamp": "firstTimestamp", "deprecatedLastTimestamp": "lastTimestamp",
           "deprecatedSource": "source", "reportingController": "reportingComponent"}
    return {**{old.get(key, key): value for key, value in event.items()}, "apiVersion": "v1"}


def _place(obj: Object, kind: Kind) -> tuple[str, str]:
    namespace = dig(obj, "metadata", "namespace", default="") if kind.namespaced else ""
    return str(namespace), str(dig(obj, "metadata", "name", default=""))


def _carries(obj: Object, wanted: Mapping[str, str]) -> bool:
    has = labels_of(obj)
    return all(has.get(key) == value for key, value in wanted.items())


def _has_fields(obj: Object, wanted: Mapping[str, str]) -> bool:
    return all(str(dig(obj, *path.split("."), default="")) == value for path, value in wanted.items())
