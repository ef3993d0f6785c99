"""The deterministic evaluator, named "Rules": a versioned table over typed facts. The same facts give the same answer.

Three values throughout: a condition over a fact that is not known is neither true nor false, and what is not known
never fires a rule. Where nothing fires, or two rules disagree, the answer is `escalate`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from akeso.decide.facts.catalogue import DEPENDENCY_PREFIX
from akeso.decide.ruletable import Condition, Rule, Table, load
from akeso.model.evidence import Fact, Facts, FactValue
from akeso.model.names import Reason
from akeso.model.verdict import ESCALATE, NO_ACTION, Answer, Choice, Verdict

STOP_PRIORITY: Final = 90
"""From here on a rule about the target is heard before anything about what the target depends on."""


@dataclass(frozen=True, slots=True)
class Fired:
    rule: Rule
    target: str
    facts: tuple[str, ...]
    prefix: str = ""


def table() -> Table:
    """The shipped table, loaded and validated once. Raises InvalidInput where it is wrong: call it at start."""
    return load()


def choose(facts: Facts, candidates: Sequence[str]) -> Choice:
    """The candidate that the facts support, `no_action`, or `escalate`.

    A remedy that fits but is not among the candidates is never replaced by a lesser one: it is named in the message
    and escalated. `Choice.target` may be another object than the alert's: the component that the failure comes from.
    """
    against = tuple(sorted(c for c in set(candidates) if contradictions(c, facts)))
    fired = _decisive(facts)
    if not fired:
        return replace(_nothing(facts), contradicted=against)
    best = [f for f in fired if f.rule.priority == fired[0].rule.priority]
    if len({(f.rule.action, f.target) for f in best}) > 1:
        names = ", ".join(f"{f.rule.action} ({f.rule.id})" for f in best)
        return Choice(
            ESCALATE,
            f"Rules disagree: {names}. A person has to decide.",
            _cited(best),
            tuple(f.rule.id for f in best),
            against,
            fired[0].target,
        )
    return replace(_named(best[0], facts, candidates), contradicted=against)


def contradictions(action: str, facts: Facts) -> Sequence[str]:
    """What speaks against the action on the target: a sentence each, opening with the rule's id. A veto over models."""
    if action in (NO_ACTION, ESCALATE):
        return ()
    found = [
        f"{veto.id}: {veto.why} ({told(facts, [c.fact for c in veto.when])})"
        for veto in table().vetoes
        if action in veto.actions and all(holds(c, facts) for c in veto.when)
    ]
    found += [
        f"{rule.id}: {rule.why} ({told(facts, rule.names)})"
        for rule in table().rules
        if rule.veto and fires(rule, facts)
    ]
    futile = facts.get("ineffective_actions")
    if futile is not None and isinstance(futile.value, tuple) and action in futile.value:
        found.append(f"NO-USE: {action} failed or did not help twice in 24 hours")
    return tuple(found)


def right(action: str, facts: Facts) -> Verdict:
    """Whether that action is right now: yes where its rule decides, no where facts or another rule speak against it."""
    choice = choose(facts, [action])
    subject = facts.get("subject")
    elsewhere = (
        bool(choice.target)
        and subject is not None
        and choice.target != subject.value
        and choice.target == _value(facts, "dependency")
    )
    if choice.action == action and not elsewhere:
        return Verdict(Answer.YES, "rules", Reason.ANSWERED, choice.message, choice.facts, choice.rules)
    against = contradictions(action, facts)
    if against:
        return Verdict(
            Answer.NO,
            "rules",
            Reason.CONTRADICTED,
            f"Not {action}: {'; '.join(against)}.",
            choice.facts,
            tuple(a.partition(":")[0] for a in against),
        )
    if choice.action == NO_ACTION or elsewhere or choice.rules:
        return Verdict(Answer.NO, "rules", Reason.ANSWERED, choice.message, choice.facts, choice.rules)
    return Verdict(Answer.UNSURE, "rules", Reason.UNCERTAIN, choice.message, choice.facts, choice.rules)


def fires(rule: Rule, facts: Facts) -> bool:
    return (
        all(holds(c, facts) is True for c in rule.requires)
        and (not rule.any or any(holds(c, facts) is True for c in rule.any))
        and not any(holds(c, facts) is True for c in rule.contradicts)
    )


def holds(condition: Condition, facts: Facts) -> bool | None:
    """True, false, or None where the fact is not known or is of another type than the condition."""
    found = facts.get(condition.fact)
    if condition.op == "exists":
        return found is not None or None
    return None if found is None else condition.test(found.value)


def told(facts: Facts, names: Collection[str]) -> str:
    """`oom_kills=3, oom_container=app`: facts with their values, for people."""
    return ", ".join(f"{n}={show(facts[n].value)}" for n in dict.fromkeys(names) if n in facts)


def show(value: FactValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(value) + "]"
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def _decisive(facts: Facts) -> list[Fired]:
    """What fires: stops about the target first, then what the failure comes from, then the target itself."""
    own = _fired(facts)
    if "dependency" not in facts or (own and own[0].rule.priority >= STOP_PRIORITY):
        return own
    return _fired(about_dependency(facts), prefix=DEPENDENCY_PREFIX)


def about_dependency(facts: Facts) -> Facts:
    """The facts as if the dependency were the target: its own replace the target's; the alert's and nodes' stay."""
    shared = {n: f for n, f in facts.items() if n.startswith(("alert_", "mass_", "nodes_")) and n != "alert_name"}
    named: dict[str, Fact] = {
        n.removeprefix(DEPENDENCY_PREFIX): f
        for n, f in facts.items()
        if n.startswith(DEPENDENCY_PREFIX) and n != "dependency_role"
    }
    return shared | named


def _fired(facts: Facts, prefix: str = "") -> list[Fired]:
    found = []
    for rule in table().rules:
        if not fires(rule, facts) or contradictions(rule.action, facts):
            continue
        target = str(_value(facts, rule.target) or _value(facts, "subject") or "")
        names = tuple(n if n not in facts or not prefix else prefix + n for n in rule.names if n in facts)
        found.append(Fired(rule, target, names, prefix))
    return sorted(found, key=lambda f: (-f.rule.priority, f.rule.id))


def _named(fired: Fired, facts: Facts, candidates: Sequence[str]) -> Choice:
    rule = fired.rule
    told_facts = told(facts, [n if n in facts else n.removeprefix(fired.prefix) for n in fired.facts])
    because = f"{rule.why} ({told_facts})."
    if rule.action in (NO_ACTION, ESCALATE):
        return Choice(rule.action, f"{fired.target}: {because}", fired.facts, (rule.id,), target=fired.target)
    offered = [name for name in (*rule.instead, rule.action) if name in candidates]
    about = about_dependency(facts) if fired.prefix else facts
    for name in offered:  # the narrower remedy first, where it is offered
        if not contradictions(name, about):
            return Choice(name, f"{name} on {fired.target}: {because}", fired.facts, (rule.id,), target=fired.target)
    message = f"The remedy that fits is {rule.action} on {fired.target}, which is not among the candidates: {because}"
    return Choice(ESCALATE, message, fired.facts, (rule.id,), target=fired.target)


def _nothing(facts: Facts) -> Choice:
    seen = [n for n in _TELLING if n in facts]
    subject = _value(facts, "dependency") or _value(facts, "subject") or "the target"
    return Choice(
        ESCALATE,
        f"No rule fits {subject}: {told(facts, seen) or 'no facts about it'}.",
        tuple(seen),
        target=str(subject) if subject != "the target" else "",
    )


_TELLING: Final = (
    "failure_modes",
    "waiting_reason",
    "crash_exit_code",
    "crash_reason",
    "oom_kills",
    "config_refs_missing",
    "pull_failure",
    "unschedulable_reasons",
    "create_failure",
    "rollout_age_seconds",
    "only_new_revision_fails",
    "dependency",
    "service_port_mismatch",
    "service_foreign_pods",
    "storage_class_missing",
    "job_failure_reason",
    "pvc_used_share",
    "node_ready",
    "node_pressure",
    "retry_storm",
    "memory_leak",
    "hpa_at_max",
    "ready_replicas",
    "desired_replicas",
)


def _value(facts: Facts, name: str) -> FactValue | None:
    found = facts.get(name)
    return None if found is None else found.value


def _cited(fired: Sequence[Fired]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n for f in fired for n in f.facts))
