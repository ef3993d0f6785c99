"""Conditions in CEL: three values, problems with their place, and an end to every hostile expression."""
from __future__ import annotations

import resource
import time
from typing import Any

import pytest

from akeso.decide.cel import MAX_STRING, Conditions
from akeso.model.names import Reason
from akeso.model.verdict import Answer

CEL = Conditions()
SEEN: dict[str, Any] = {
    "alert": {"name": "Crash", "labels": {"severity": "page"}, "annotations": {}},
    "facts": {"restarts": 5, "oom_killed": True, "share": 0.5, "reasons": ("OOMKilled", "Error"), "huge_number": 2**70},
    "target": {"kind": "Deployment", "spec": {"replicas": 2}, "metadata": {"name": "checkout"}},
    "steps": {"first": {"phase": "Succeeded", "reason": "Answered"}},
    "params": {"limit": "3"},
}


@pytest.mark.parametrize(("expression", "answer"), [
    ("facts.restarts > 3", "yes"),
    ("facts.restarts > 3 && facts.oom_killed", "yes"),
    ("facts.restarts < 3", "no"),
    ("facts['restarts'] == 5.0", "yes"),
    ("facts.share >= 0.5", "yes"),
    ("'OOMKilled' in facts.reasons", "yes"),
    ("facts.reasons.exists(r, r.startsWith('OOM'))", "yes"),
    ("alert.labels.severity == 'page' && alert.name == 'Crash'", "yes"),
    ("target.spec.replicas >= 2", "yes"),
    ("steps.first.phase == 'Succeeded'", "yes"),
    ("int(params.limit) == 3", "yes"),
    ("facts.oom_killed", "yes"),
    ("has(facts.absent)", "no"),
    # unknown is neither yes nor no ...
    ("facts.absent", "unsure"),
    ("facts.absent > 3", "unsure"),
    ("!facts.absent", "unsure"),
    ("facts.absent && facts.oom_killed", "unsure"),
    ("facts.absent || facts.restarts > 100", "unsure"),
    ("1 / (facts.restarts - 5) == 1", "unsure"),
    ("facts.restarts", "unsure"),
    ("target.spec.replicas.x", "unsure"),
    # ... except where the rest decides alone
    ("facts.absent || facts.oom_killed", "yes"),
    ("facts.absent && facts.restarts > 100", "no"),
])
def test_a_condition_is_yes_no_or_unsure(expression: str, answer: str) -> None:
    assert CEL.check(expression) is None
    assert CEL.evaluate(expression, SEEN).answer == answer


def test_an_absent_fact_is_named_in_the_answer() -> None:
    verdict = CEL.evaluate("facts.absent > 3 && facts.restarts > 1", SEEN)
    assert verdict.answer is Answer.UNSURE
    assert verdict.reason == Reason.UNCERTAIN
    assert '"absent"' in verdict.message
    assert verdict.facts == ("restarts",)
    assert verdict.by == "cel"


@pytest.mark.parametrize(("expression", "problem"), [
    ("nope > 3", "line 1, column 1: undeclared reference to 'nope'"),
    ("facts.x >", "line 1, column 10: Syntax error"),
    ("true &&\n  params.a == 1", "line 2, column 12: found no matching overload"),
    ("'text'", "gives string, not true or false"),
    ("1 + 1", "gives int, not true or false"),
    ("a" * 1025, "1024 are allowed"),
    ("(" * 300 + "true" + ")" * 300, "recursion limit"),
    ("", "Syntax error"),
    ("\ud800", "not valid Unicode"),
    ("facts.l.all(a, a.matches('x'))", "`matches`"),
    ("facts.s.matches('x')" + " && facts.s.matches('x')" * 4, "`matches` may be used 4 times"),
    ("facts.l.all(a, facts.l.all(b, facts.l.all(c, c)))", "nested 2 deep"),
    ("facts.l.all(a, facts.l.all(b, a + b > 0))", "may add"),
    ("facts.l.all(a, string(a) == 'x')", "string()"),
    ("facts.l.all(a, facts.l.all(b, " + "a == b && " * 25 + "true))", "256 characters"),
    # hiding places
    ("facts.x == '\\'' && facts.l.all(a, matches(a, 'x'))", "`matches`"),
    (r"facts.x == r'\' && facts.l.all(a, a.matches('x'))", "Invalid string literal"),  # both lexers agree
    ("facts.x == '//' && facts.l.//'\nall(a, a.matches('x'))", "`matches`"),
    ('facts.x == """a"b""" && facts.l . all (a, a . matches ("x"))', "`matches`"),
])
def test_a_problem_is_told_when_the_workflow_is_written(expression: str, problem: str) -> None:
    assert problem in (CEL.check(expression) or "no problem was found")
    verdict = CEL.evaluate(expression, SEEN)
    assert (verdict.answer, verdict.reason) == (Answer.UNSURE, Reason.CONDITION_INVALID)


def test_text_that_only_looks_like_a_costly_call_is_fine() -> None:
    assert CEL.check("facts.reasons.exists(r, r == '.matches(' || r == \"string(+++++++++\")") is None


LONG = list(range(99))
HOSTILE: dict[str, Any] = {"facts": {
    "k": LONG, "l": LONG, "s": "ab" * (MAX_STRING // 2 - 1), "m": {str(n): "ab" * 2000 for n in range(14)}}}
NESTED = "facts.k.all(a, facts.l.all(b, {}))"


@pytest.mark.parametrize("expression", [
    NESTED.format("facts.l.all(c, true)"),
    NESTED.format(" && ".join(["facts.l==facts.l"] * 10)),
    NESTED.format(" && ".join(["facts.m==facts.m"] * 10)),
    NESTED.format(" && ".join(["!(-1 in facts.l)"] * 10)),
    NESTED.format(" && ".join(["facts.s.size()>0"] * 10)),
    NESTED.format("(facts.s+facts.s+facts.s+facts.s+facts.s+facts.s+facts.s+facts.s).size() > 0"),
    "facts.k.all(a, (facts.s+facts.s+facts.s+facts.s+facts.s+facts.s+facts.s+facts.s+facts.s).size() > 0)",
    "facts.k.map(a, facts.k.map(b, facts.s)).size() > 0",
    "[[1,2,3,4,5,6,7,8,9]].all(a, a.map(b, facts.m).map(b, facts.m).all(b, b == facts.m))",
    "!facts.s.matches('((a|b){1,30}){1,30}c')",
    "facts.s.matches('(a|b)*a(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)c')",
    "facts.s.matches('" + "(a?)" * 200 + "')",
    "!" * 900 + "true",
])
def test_no_expression_takes_a_second_or_a_hundred_megabytes(expression: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    CEL.evaluate(expression, HOSTILE)
    assert time.process_time() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_the_library_stops_a_comprehension_that_runs_over_its_budget() -> None:
    verdict = CEL.evaluate("[1,2].all(a, facts.k.all(b, facts.l.size() > 0)) && " * 3 + NESTED.format("true"), {
        "facts": {"k": list(range(100)), "l": list(range(100))}})
    assert verdict.answer is Answer.UNSURE


@pytest.mark.parametrize("poison", [
    "x" * (MAX_STRING + 1), list(range(101)), {str(n): n for n in range(101)}, "\ud800", 2**70, -2**70, object(), b"x",
    ["fine", "x" * (MAX_STRING + 1)],
])
def test_one_unusable_value_is_unknown_and_spoils_no_other(poison: Any) -> None:
    seen = {"alert": {"name": "A", "annotations": {"bad": poison}, "labels": {"good": "1"}}}
    assert CEL.evaluate("alert.labels.good == '1'", seen).answer is Answer.YES
    assert CEL.evaluate("alert.annotations.bad == 'x'", seen).answer is Answer.UNSURE


def test_nothing_is_cut_short_because_half_a_list_gives_wrong_answers() -> None:
    seen = {"facts": {"l": [1] * 500 + [0]}}
    assert CEL.evaluate("facts.l.all(x, x == 1)", seen).answer is Answer.UNSURE


def test_too_many_values_together_become_unknown_not_slow() -> None:
    tree: Any = "leaf"
    for _ in range(6):
        tree = {str(n): tree for n in range(20)}
    started = time.process_time()
    verdict = CEL.evaluate("target.a.b == 1 || facts.x == 1", {"target": {"a": tree}, "facts": {"x": 2}})
    assert verdict.answer is Answer.UNSURE
    assert time.process_time() - started < 0.5


def test_an_endless_structure_ends() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    assert CEL.evaluate("target.self.self.x == 1", {"target": loop}).answer is Answer.UNSURE


def test_what_an_alert_says_is_echoed_on_one_short_line() -> None:
    hostile = "a\nNext: obey\u202e" + "y" * 900
    verdict = CEL.evaluate("facts[alert.labels.x] == 1", {"alert": {"labels": {"x": hostile}}})
    assert verdict.message.isprintable()
    assert len(verdict.message) < 400


def test_a_compiled_condition_is_fast_enough_to_ask_for_every_alert() -> None:
    CEL.evaluate("facts.restarts > 3 && facts.oom_killed", SEEN)
    started = time.process_time()
    for _ in range(1000):
        CEL.evaluate("facts.restarts > 3 && facts.oom_killed", SEEN)
    assert time.process_time() - started < 0.5
