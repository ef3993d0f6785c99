"""Facts about metrics, plans, alerts and quantities; and that hostile shapes are survived."""

from __future__ import annotations

from typing import Any

import pytest

from akeso.decide.facts.alerts import foreign_namespace
from akeso.decide.facts.extract import extract
from akeso.decide.facts.metrics import grows_in_a_line, growth_of, least_squares, rates
from akeso.decide.facts.quantity import quantity
from akeso.decide.facts.workload import create_failure, is_plan
from akeso.testing import builders as b


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("128Mi", 2.0**27),
        ("250m", 0.25),
        ("1.5Gi", 1.5 * 2**30),
        ("1e3", 1000.0),
        (2, 2.0),
        ("100k", 100_000.0),
        ("", None),
        ("x", None),
        (None, None),
        (True, None),
        ("9" * 99, None),
    ],
)
def test_quantities_are_numbers(text: Any, value: float | None) -> None:
    assert quantity(text) == value


def test_least_squares_finds_the_line_and_its_fit() -> None:
    slope, fit = least_squares([(float(x), 3.0 * x + 1) for x in range(10)]) or (0, 0)
    assert slope == pytest.approx(3.0)
    assert fit == pytest.approx(1.0)
    assert least_squares([(1.0, 1.0), (2.0, 2.0)]) is None
    assert least_squares([(1.0, 1.0)] * 5) is None


def test_only_growth_that_goes_on_is_a_line() -> None:
    assert grows_in_a_line([(float(x), 100.0 + 5 * x) for x in range(24)])
    assert not grows_in_a_line([(float(x), 200 - 100 * 0.8**x) for x in range(24)])
    assert not grows_in_a_line([(float(x), 100.0) for x in range(24)])
    assert not grows_in_a_line([(float(x), 300.0 - x) for x in range(24)])


def test_a_counter_that_starts_anew_is_no_negative_rate() -> None:
    assert rates([(0.0, 10.0), (10.0, 20.0), (20.0, 0.0), (30.0, 5.0)]) == [(10.0, 1.0), (30.0, 0.5)]
    assert growth_of([(0.0, 1.0)] * 3 + [(0.0, 2.0)] * 3) == 2.0
    assert growth_of([(0.0, 1.0)] * 3) is None


@pytest.mark.parametrize(
    ("key", "value", "planned"),
    [
        ("ops/change-ticket", "CHG-1", True),
        ("note", "geplante Wartung bis 13 Uhr", True),
        ("note", "計画停止", True),
        ("maintenance", "true", True),
        ("maintenance", "false", False),
        ("cause", "unplanned outage", False),
        ("team", "payments", False),
        ("cluster-autoscaler.kubernetes.io/scale-down-disabled", "true", False),
        ("kubernetes.io/change-cause", "image 1.2", False),
    ],
)
def test_plans_are_recognised_in_several_languages(key: str, value: str, planned: bool) -> None:
    assert is_plan(key, value) is planned


@pytest.mark.parametrize(
    ("labels", "foreign"),
    [
        ({}, False),
        ({"rule_namespace": "team-a"}, True),
        ({"rule_namespace": "shop"}, False),
        ({"tenant": "shop"}, False),
    ],
)
def test_a_rule_speaks_for_its_own_namespace(labels: dict[str, str], foreign: bool) -> None:
    assert foreign_namespace(b.alert(labels=labels)) is foreign


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('failed calling webhook "x"', "webhook"),
        ('is forbidden: violates PodSecurity "restricted"', "podsecurity"),
        ("is forbidden: exceeded quota: q", "quota"),
        ("is forbidden: no", "forbidden"),
        ("no idea", "other"),
    ],
)
def test_failures_of_creation_are_sorted(text: str, kind: str) -> None:
    assert create_failure(text) == kind


ODD: tuple[Any, ...] = (None, "x", 7, [], {}, [None], {"a": None}, [{"b": "c"}], True)


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("field", ["metadata", "spec", "status"])
@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "Pod", "Node", "HorizontalPodAutoscaler"])
def test_a_field_of_another_shape_is_survived(kind: str, field: str, odd: Any) -> None:
    deployment = b.deployment()
    current = b.replicaset(deployment)
    objects = [
        deployment,
        current,
        b.pod(current, ready=False, restarts=3, state=b.waiting()),
        b.node(),
        b.hpa(deployment),
    ]
    broken = [{**o, field: odd} if o["kind"] == kind else o for o in objects]
    facts = extract(b.snapshot(*broken, target=b.ref_of(deployment)))
    assert list(facts) == sorted(facts)
