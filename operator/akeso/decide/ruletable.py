"""The rule table as data: read from the template package, checked whole at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import yaml

from akeso.decide.facts.catalogue import entry
from akeso.errors import InvalidInput
from akeso.model.evidence import FactValue, Tier
from akeso.model.verdict import ESCALATE, NO_ACTION

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's reads the tables in a tenth of the time
Plain = bool | int | float | str | Sequence[str]


def _members(value: Any) -> frozenset[Any]:
    return frozenset(value) if isinstance(value, list | tuple) else frozenset({value})


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
_OPS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda a, b: (sorted(a) == sorted(b)) if isinstance(a, tuple) and isinstance(b, list) else a == b,
    "ne": lambda a, b: a != b,
    "in": lambda a, b: a in b,
    "not_in": lambda a, b: a not in b,
    "contains": lambda a, b: b in _members(a),
    "intersects": lambda a, b: bool(_members(a) & _members(b)),
    "disjoint": lambda a, b: not _members(a) & _members(b),
    "within": lambda a, b: _members(a) <= _members(b),
}
OPS: Final = frozenset({*_ORDER, *_OPS, "exists"})


@dataclass(frozen=True, slots=True)
class Condition:
    """`{fact, op, value}`."""

    fact: str
    op: str
    value: Any = None

    def test(self, value: FactValue) -> bool | None:
        """None where the value is of a type that this comparison does not know."""
        if self.op in _ORDER:
            return _ORDER[self.op](value, self.value) if _number(value) and _number(self.value) else None
        return _OPS[self.op](value, self.value)


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    action: str
    priority: int
    kind: str
    why: str
    target: str
    requires: Sequence[Condition]
    any: Sequence[Condition]
    contradicts: Sequence[Condition]
    instead: Sequence[str]
    veto: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The facts that it rests on, in the table's order."""
        return tuple(dict.fromkeys(c.fact for c in (*self.requires, *self.any)))


@dataclass(frozen=True, slots=True)
class Veto:
    id: str
    actions: Sequence[str]
    why: str
    when: Sequence[Condition]


@dataclass(frozen=True, slots=True)
class Table:
    version: str
    rules: Sequence[Rule]
    vetoes: Sequence[Veto]


def read(name: str) -> Any:
    """A YAML file of the rules folder."""
    text = files("akeso_templates").joinpath("rules", name).read_text(encoding="utf-8")
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 a safe loader both ways


@lru_cache(maxsize=1)
def load() -> Table:
    """The shipped table. Raises InvalidInput naming every mistake in it."""
    return parse(read("actions.yaml"), read("vetoes.yaml"))


def parse(actions: Mapping[str, Any], vetoes: Mapping[str, Any]) -> Table:
    rules = [_rule(raw) for raw in actions["rules"]]
    against = [
        Veto(raw["id"], tuple(raw["actions"]), raw["why"], conditions(raw["when"], raw["id"]))
        for raw in vetoes["vetoes"]
    ]
    wrong = [problem for rule in rules for problem in _problems(rule)]
    names = [r.id for r in rules] + [v.id for v in against]
    wrong += [f"{name} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if wrong:
        raise InvalidInput(
            "The rule table is wrong", why="; ".join(wrong), next_step="correct templates/akeso_templates/rules"
        )
    return Table(str(actions["version"]), tuple(rules), tuple(against))


def conditions(raw: Sequence[Mapping[str, Any]] | None, where: str) -> tuple[Condition, ...]:
    """Conditions of a rule. Raises InvalidInput for an unknown fact or comparison."""
    found = tuple(Condition(c["fact"], c["op"], c.get("value")) for c in raw or ())
    for c in found:
        if entry(c.fact) is None or c.op not in OPS:
            raise InvalidInput("The rule table is wrong", why=f"{where}: unknown fact or comparison: {c.fact} {c.op}")
    return found


def _rule(raw: Mapping[str, Any]) -> Rule:
    where = str(raw["id"])
    return Rule(
        where,
        raw["action"],
        int(raw["priority"]),
        raw["class"],
        raw["why"],
        raw.get("target", "subject"),
        conditions(raw.get("requires"), where),
        conditions(raw.get("any"), where),
        conditions(raw.get("contradicts"), where),
        tuple(raw.get("instead", ())),
        bool(raw.get("veto", False)),
    )


def _problems(rule: Rule) -> list[str]:
    found = []
    if not rule.requires:
        found.append(f"{rule.id} requires nothing")
    if rule.veto and rule.action not in (NO_ACTION, ESCALATE):
        found.append(f"{rule.id} is an action and cannot be a veto")
    if entry(rule.target) is None:
        found.append(f"{rule.id}: unknown target {rule.target}")
    if rule.action not in (NO_ACTION, ESCALATE):
        tiers = [line.tier for c in rule.requires if (line := entry(c.fact)) is not None]
        if min(tiers, default=Tier.INTERNET) > Tier.CONTROLLER:
            found.append(f"{rule.id} changes the cluster on what tenants or the internet wrote alone")
        if Tier.INTERNET in tiers:
            found.append(f"{rule.id} requires a fact that the internet could have written")
    return found
