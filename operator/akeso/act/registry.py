"""The actions that are installed, found by entry point; the built-in pack exactly like a third party's."""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeAlias

from akeso.model.plan import EffectClass, Reversibility
from akeso.model.verdict import ESCALATE, NO_ACTION
from akeso.sdk.action import Action, Kind, Params, Rule

GROUP = "akeso.actions"

READING = frozenset({"get", "list", "watch"})
WRITING = frozenset({"create", "update", "patch", "delete"})
NEVER = frozenset({"serviceaccounts", "serviceaccounts/token", "secrets", "roles", "rolebindings", "clusterroles",
                   "clusterrolebindings", "nodes/proxy", "certificatesigningrequests"})
"""Resources that no action may ask for: each is a way to more rights than were given (design/security.md B.2, 5)."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

AnyAction: TypeAlias = Action[Any]


@dataclass(frozen=True, slots=True)
class Registry:
    """Actions by name. `problems` says which were refused, and why."""

    actions: dict[str, AnyAction] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> AnyAction:
        """Raises KeyError where no such action is registered."""
        return self.actions[name]

    def __contains__(self, name: object) -> bool:
        return name in self.actions

    def __iter__(self) -> Iterator[AnyAction]:
        return iter(self.actions.values())

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.actions))

    def allowed(self, allow: Sequence[str], deny: Sequence[str] = ()) -> tuple[str, ...]:
        """Names that match a glob of `allow` and none of `deny`; deny wins, an empty `allow` allows nothing."""
        return tuple(
            name for name in self.names()
            if any(fnmatchcase(name, glob) for glob in allow) and not any(fnmatchcase(name, glob) for glob in deny))

    def rules_for(self, names: Iterable[str]) -> tuple[Rule, ...]:
        """What a ServiceAccount needs for these actions: one rule per resource, verbs united. KeyError as above."""
        verbs: dict[tuple[str, str], set[str]] = {}
        for name in names:
            for rule in self.actions[name].needs:
                verbs.setdefault((rule.group, rule.resource), set()).update(rule.verbs)
        return tuple(Rule(group, resource, tuple(sorted(found))) for (group, resource), found in sorted(verbs.items()))


def load(points: Iterable[EntryPoint] | None = None) -> Registry:
    """The registry of all installed packs. Each value of the entry-point group is a sequence of Action instances.

    A pack or an action that cannot be used is skipped and named in `problems`; the others work.
    """
    actions: dict[str, AnyAction] = {}
    problems: list[str] = []
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=lambda p: (p.name, p.value)):
        try:
            pack = tuple(point.load())
        except Exception as error:  # noqa: BLE001 a third party's module may raise anything; it must not stop the others
            problems.append(f"actions of {point.value}: cannot be loaded: {type(error).__name__}: {error}")
            continue
        for action in pack:
            wrong = list(check(action))
            name = str(getattr(action, "name", type(action).__name__))
            if not wrong and name in actions:
                wrong = ["is registered already; the first one stays"]
            if wrong:
                problems.append(f"action {name} of {point.value}: {'; '.join(wrong)}")
            else:
                actions[name] = action
    return Registry(actions, tuple(problems))


def check(action: object) -> Iterator[str]:
    """What is missing or wrong in an action's declaration; nothing where it may be registered."""
    if not isinstance(action, Action):
        yield f"is {type(action).__name__}, not an instance of akeso.sdk.action.Action"
        return
    name = getattr(action, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 63 or name in (NO_ACTION, ESCALATE):
        yield "declares no `name` of the form verb_object"
    if not getattr(action, "title", None):
        yield "declares no `title`"
    if not isinstance(action.params, type) or not issubclass(action.params, Params):
        yield "declares `params` that are no subclass of Params"
    if not _all(getattr(action, "target_kinds", None), Kind):
        yield "declares no `target_kinds`"
    if not isinstance(getattr(action, "effect", None), EffectClass):
        yield "declares no `effect` class"
    if not isinstance(getattr(action, "reversibility", None), Reversibility):
        yield "declares no `reversibility`"
    if not _all(getattr(action, "needs", None), Rule):
        yield "declares no `needs` (an empty tuple says that it needs nothing)"
    else:
        yield from _check_needs(action)


def _check_needs(action: AnyAction) -> Iterator[str]:
    for rule in action.needs:
        if not rule.verbs or not set(rule.verbs) <= READING | WRITING:
            yield f"needs verbs {list(rule.verbs)} on {rule.resource}; only {sorted(READING | WRITING)} are given"
        if rule.resource in NEVER or "*" in rule.resource or "*" in rule.group:
            yield f"needs {rule.resource!r}, which no action is given"
    writes = any(set(rule.verbs) & WRITING for rule in action.needs)
    effect = getattr(action, "effect", None)
    if effect in (EffectClass.READ, EffectClass.OUTSIDE) and writes:
        yield f"needs to write although its effect class is {effect}"
    if effect not in (EffectClass.READ, EffectClass.OUTSIDE) and not writes:
        yield f"names no permission to write although its effect class is {effect}"


def _all(values: object, kind: type) -> bool:
    return isinstance(values, tuple | list) and all(isinstance(value, kind) for value in values)
