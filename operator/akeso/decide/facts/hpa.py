"""Facts about the HorizontalPodAutoscaler of the workload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from akeso.decide.facts.quantity import quantity
from akeso.decide.facts.view import View, condition, condition_is, fact, items, name_of, namespace_of, path_of
from akeso.model.evidence import Fact
from akeso.model.objects import Object, dig


def facts(view: View) -> Iterator[Fact]:
    if view.workload is None or not view.gathered("HorizontalPodAutoscaler"):
        return
    found = next((h for h in view.snapshot.of_kind("HorizontalPodAutoscaler") if scales(h, view.workload)), None)
    yield fact("hpa_present", found is not None, f"HorizontalPodAutoscalers of {view.namespace}")
    if found is not None:
        yield fact("hpa", path_of(found), path_of(found))
        yield from _state(found)


def scales(hpa: Object, workload: Object) -> bool:
    ref = dig(hpa, "spec", "scaleTargetRef", default={})
    return (ref.get("kind"), ref.get("name"), namespace_of(hpa)) == (
        workload.get("kind"),
        name_of(workload),
        namespace_of(workload),
    )


def _state(hpa: Object) -> Iterator[Fact]:
    where = path_of(hpa)
    top, now = dig(hpa, "spec", "maxReplicas"), dig(hpa, "status", "currentReplicas")
    limited = condition(hpa, "ScalingLimited")
    if isinstance(top, int) and isinstance(now, int):
        wants = dig(hpa, "status", "desiredReplicas", default=now)
        capped = limited is None or limited.get("status") == "True"
        yield fact("hpa_at_max", now >= top and wants >= top and capped, f"{where} .status")
    active = condition_is(hpa, "ScalingActive")
    if active is None and _current(hpa):
        active = True  # a metric is read now, which is what the condition says
    if active is not None:
        yield fact("hpa_active", active, f"{where} .status.conditions[ScalingActive]")
    over = _over(hpa)
    if over is not None:
        yield fact("hpa_over_target", over, f"{where} .status.currentMetrics")


def _over(hpa: Object) -> bool | None:
    """Whether one of its metrics is above its target now; None where no metric tells both."""
    answers = []
    current = _current(hpa)
    v1 = quantity(dig(hpa, "spec", "targetCPUUtilizationPercentage"))
    if v1 and ("v1", "", "") in current:
        answers.append(current["v1", "", ""] > v1)
    for metric in items(hpa, "spec", "metrics"):
        for key, target in _values(metric, "target").items():
            if key in current and target > 0:
                answers.append(current[key] > target)
    return any(answers) if answers else None


def _current(hpa: Object) -> dict[tuple[str, str, str], float]:
    found = {key: value for m in items(hpa, "status", "currentMetrics") for key, value in _values(m, "current").items()}
    v1 = quantity(dig(hpa, "status", "currentCPUUtilizationPercentage"))
    return found if v1 is None else {**found, ("v1", "", ""): v1}


def _values(metric: Any, part: str) -> dict[tuple[str, str, str], float]:
    kind = str(metric.get("type", ""))
    body = dig(metric, kind[:1].lower() + kind[1:], default={})
    name = str(dig(body, "name", default=dig(body, "metric", "name", default="")))
    name += str(dig(body, "container", default=""))
    found = {}
    for key in ("averageUtilization", "averageValue", "value"):
        value = quantity(dig(body, part, key))
        if value is not None:
            found[kind, name, key] = value
    return found
