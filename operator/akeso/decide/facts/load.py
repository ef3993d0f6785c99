"""Facts about demand: requests and retries that reach the workload, and what queues up in it.

Names of metrics and labels are the application's own (T2), so they are matched by their usual words.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from akeso.decide.facts.view import View, fact, name_of
from akeso.model.evidence import Fact, Series

Points = Sequence[tuple[float, float]]

DEMAND_GREW: Final = 1.4
_REQUESTS: Final = re.compile(
    r"(request|req|query|queries|message)s?(_\w+)?_(total|count)$|_(rps|qps)$|request_rate|_requests$")
_RETRIES: Final = re.compile(r"retr(y|ies)")
_QUEUES: Final = re.compile(
    r"queue_?(length|depth|size|len)|_queued?$|queued_|backlog|pending_(request|task|job)s|in_?flight")
_CLUSTERS: Final = re.compile(r"^(kube|container|node|kubelet|apiserver|workqueue|machine)_")
_OWNER_LABELS: Final = (
    "service", "exported_service", "app", "deployment", "workload", "destination_workload", "destination_service_name")
_FIRST_TRIES: Final = ("", "0", "1", "first", "original", "initial", "false", "no", "none")


def facts(view: View) -> Iterator[Fact]:
    if view.workload is None:
        return
    source = "request counters of the workload's pods"
    asked = _requests(view)
    growth = _growths(asked)
    if growth:
        yield fact("load_growth", round(max(growth.values()), 4), source)
        yield fact("demand_growth", round(min(growth.values()), 4), source)
        yield fact("load_peaked", any(_peaked(points) for _, points in asked), source)
    yield from _retries(view, asked)
    backlog = _backlog(view)
    if backlog is not None:
        yield fact("queue_backlog", backlog, "queue gauges of the workload's pods")
        unasked = min(growth.values(), default=0.0) < DEMAND_GREW
        yield fact("backlog_without_demand", backlog and unasked, "queue gauges and request counters")


def load_growth(view: View) -> float | None:
    """The highest growth that any of the request metrics tells; None where none does."""
    return max(_growths(_requests(view)).values(), default=None)


def rates(points: Points) -> list[tuple[float, float]]:
    """Per-second rates of a counter; a reset starts anew."""
    return [(t1, max(0.0, v1 - v0) / (t1 - t0)) for (t0, v0), (t1, v1) in pairwise(points) if t1 > t0 and v1 >= v0]


def growth_of(points: Points) -> float | None:
    """Mean of the last third against the first third; None below six points or from nothing."""
    third = len(points) // 3
    if third < 2:
        return None
    first, last = (sum(v for _, v in part) / third for part in (points[:third], points[-third:]))
    return last / first if first > 0 else None


def _about(view: View) -> list[Series]:
    """Series of the application: of its pods, or that carry the workload's name. The cluster's own are none."""
    mine = {name_of(p) for p in view.pods}
    owner = name_of(view.workload)
    return [
        s
        for s in view.snapshot.series
        if s.labels.get("namespace") == view.namespace
        and not _CLUSTERS.search(s.metric)
        and (s.labels.get("pod") in mine or any(s.labels.get(key) == owner for key in _OWNER_LABELS))
    ]


def _is_retry(series: Series) -> bool:
    if _RETRIES.search(series.metric):
        return True
    told = [
        v.lower()
        for k, v in series.labels.items()
        if _RETRIES.search(k) or "attempt" in k or k in ("type", "kind")
    ]
    return any(v not in _FIRST_TRIES and (_RETRIES.search(v) or v == "true" or v.isdigit()) for v in told)


def _plain(series: Series) -> Points:
    rising = all(b >= a for (_, a), (_, b) in pairwise(series.values))
    counter = series.metric.endswith(("_total", "_count")) or (rising and series.metric.endswith("requests"))
    return rates(series.values) if counter else list(series.values)


def _requests(view: View) -> list[tuple[str, Points]]:
    """(metric, rates) of what is asked of the workload, retries left out."""
    found = [(s.metric, _plain(s)) for s in _about(view) if _REQUESTS.search(s.metric) and not _is_retry(s)]
    return [(name, points) for name, points in found if points]


def _growths(asked: Sequence[tuple[str, Points]]) -> dict[str, float]:
    """By metric the mean growth over its series: two counters that disagree are two answers."""
    found: dict[str, list[float]] = {}
    for name, points in asked:
        grown = growth_of(points)
        if grown is not None:
            found.setdefault(name, []).append(grown)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _peaked(points: Points) -> bool:
    late = points[-max(1, len(points) // 4) :]
    return len(points) >= 6 and max(v for _, v in points) >= 1.5 * (sum(v for _, v in late) / len(late))


def _retries(view: View, asked: Sequence[tuple[str, Points]]) -> Iterator[Fact]:
    again = [points for s in _about(view) if _is_retry(s) and (points := _plain(s))]
    retries = sum(points[-1][1] for points in again)
    requests = sum(points[-1][1] for _, points in asked)
    if requests > 0:
        yield fact("retry_storm", retries / requests >= 1 / 3, "retry and request counters of the workload's pods")


def _backlog(view: View) -> bool | None:
    """Something queues up that did not before: three times as much, and it stays."""
    grown = [
        g
        for s in _about(view)
        if _QUEUES.search(s.metric) and not s.metric.endswith(("_total", "_count"))
        if (g := growth_of([(t, v + 1) for t, v in s.values])) is not None
    ]
    return max(grown) >= 3 if grown else None
