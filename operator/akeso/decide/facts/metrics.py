"""Facts over series: limits and working sets, slopes, cpu and load. Plain selectors over the standard metric names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from akeso.decide.facts import podstate
from akeso.decide.facts.load import Points, growth_of, load_growth, rates
from akeso.decide.facts.pods import oom_kills
from akeso.decide.facts.quantity import quantity
from akeso.decide.facts.rollout import containers
from akeso.decide.facts.view import View, fact, items, name_of, namespace_of, path_of
from akeso.model.evidence import Fact, Series, Snapshot
from akeso.model.objects import dig

WORKING_SET: Final = "container_memory_working_set_bytes"
RESIDENT: Final = "container_memory_rss"  # less than the working set: what it tells is true of that, too
CPU: Final = "container_cpu_usage_seconds_total"
LEAK_SPAN_SECONDS: Final = 3300.0  # an hour of samples ends a step or two early
LEAK_FIT: Final = 0.9  # r² of the straight line
LEAK_GROWTH: Final = 0.15  # of the first value, over the window
STEADY: Final = 1.3  # load or cpu that grew more than this explains memory that grows


def facts(view: View) -> Iterator[Fact]:
    if view.workload is None:
        return
    yield from _cpu(view)
    yield from _memory(view, cpu_growth(view))


def series_of(view: View, metric: str) -> list[Series]:
    """The series of the workload's containers; of a lone one also what its pod's cgroup says."""
    inner = {(namespace_of(p), name_of(p)): items(p, "spec", "containers") for p in view.pods}
    alone = {key: str(found[0].get("name", "")) if len(found) == 1 else "" for key, found in inner.items()}
    mine = [
        s for s in view.snapshot.series
        if s.metric == metric and (s.labels.get("namespace", ""), s.labels.get("pod", "")) in alone
    ]
    told = [s for s in mine if s.labels.get("container") not in ("", "POD", None)]
    if told:
        return told
    only = [(s, alone[s.labels.get("namespace", ""), s.labels["pod"]]) for s in mine if not s.labels.get("container")]
    return [Series({**s.labels, "container": name}, s.values) for s, name in only if name]


def last_by_pod(snapshot: Snapshot, metric: str) -> dict[tuple[str, str], float]:
    """The newest value of a metric summed over the containers of each pod (the pod's own cgroup is left out)."""
    found: dict[tuple[str, str], float] = {}
    for s in snapshot.series:
        if s.metric == metric and s.values and s.labels.get("pod") and s.labels.get("container") != "POD":
            key = (s.labels.get("namespace", ""), s.labels["pod"])
            found[key] = found.get(key, 0.0) + s.values[-1][1]
    return found


def _memory(view: View, busier: float | None) -> Iterator[Fact]:
    all_series = [s for s in series_of(view, WORKING_SET) or series_of(view, RESIDENT) if s.values]
    kills = oom_kills(view, view.current_pods)
    names = {t.container for t in kills}
    container = next(iter(names)) if len(names) == 1 else ""
    if container:
        all_series = [s for s in all_series if s.labels.get("container") == container]
    top = max(all_series, key=lambda s: (s.values[-1][1], s.labels.get("pod", "")), default=None)
    if not container and top is not None:
        container = top.labels["container"]
    limit = (
        quantity(dig(containers(view.template).get(container), "resources", "limits", "memory"))
        if container
        else None
    )
    if limit:
        yield fact(
            "memory_limit_bytes", int(limit), f"{path_of(view.workload)} .spec.template.spec.containers[{container}]"
        )
        yield from _fits(view, limit)
    if top is None:
        return
    source = f"{WORKING_SET}{{pod={top.labels.get('pod')},container={container}}}"
    yield fact("working_set_bytes", top.values[-1][1], source)
    if limit:
        yield fact("working_set_share", round(top.values[-1][1] / limit, 4), source)
    line = least_squares(top.values)
    if line is not None:
        yield fact("memory_slope_per_hour", round(line[0] * 3600, 1), source)
        if top.values[-1][0] - top.values[0][0] >= LEAK_SPAN_SECONDS and len(top.values) >= 8:
            load = load_growth(view)
            loaded = max(busier or 0.0, load or 0.0) >= STEADY
            yield fact("memory_leak", grows_in_a_line(top.values) and not loaded, source)


def least_squares(points: Points) -> tuple[float, float] | None:
    """(slope per second, r²) of the straight line through the points; None below three points."""
    if len(points) < 3:
        return None
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    sxx = sum((x - mx) ** 2 for x, _ in points)
    syy = sum((y - my) ** 2 for _, y in points)
    sxy = sum((x - mx) * (y - my) for x, y in points)
    if sxx == 0:
        return None
    return sxy / sxx, (sxy * sxy / (sxx * syy) if syy else 0.0)


def grows_in_a_line(points: Points) -> bool:
    """A straight rise over the window that goes on in its second half: warming caches bend, load swings."""
    line, half = least_squares(points), len(points) // 2
    early, late = least_squares(points[:half]), least_squares(points[half:])
    if line is None or early is None or late is None or points[0][1] <= 0:
        return False
    growth = line[0] * (points[-1][0] - points[0][0]) / points[0][1]
    return line[0] > 0 and line[1] >= LEAK_FIT and growth >= LEAK_GROWTH and late[0] >= 0.5 * early[0] > 0


def _fits(view: View, limit: float) -> Iterator[Fact]:
    names = {dig(p, "spec", "nodeName") for p in view.current_pods} - {None}
    rooms = [
        quantity(dig(view.snapshot.find("Node", str(n)), "status", "allocatable", "memory"))
        for n in sorted(map(str, names))
    ]
    known = [room for room in rooms if room is not None]
    if known:
        yield fact("limit_fits_node", limit * 1.5 <= max(known), "Nodes .status.allocatable.memory")


def cpu_growth(view: View) -> float | None:
    grown = [g for s in series_of(view, CPU) if (g := growth_of(rates(s.values))) is not None]
    return sum(grown) / len(grown) if grown else None


def _cpu(view: View) -> Iterator[Fact]:
    growth = cpu_growth(view)
    if growth is None:
        return
    yield fact("cpu_growth", round(growth, 4), CPU)
    limits = sum(
        quantity(dig(c, "resources", "limits", "cpu")) or 0.0
        for p in podstate.ready(view.pods)
        for c in items(p, "spec", "containers")
    )
    if limits:
        lately = [points[-3:] for s in series_of(view, CPU) if (points := rates(s.values))]
        used = sum(sum(v for _, v in points) / len(points) for points in lately)
        yield fact("cpu_share", round(used / limits, 4), CPU)
