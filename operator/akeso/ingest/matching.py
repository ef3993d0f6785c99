"""Which Workflows an alert starts, the most important first, and why the others do not."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from akeso.ingest.definitions import Definitions, Watched
from akeso.model.alert import Alert
from akeso.model.api.kinds import Resource
from akeso.model.api.trigger import Trigger
from akeso.model.selectors import selects

EXPLAINED: Final = 10
__all__ = ["Definitions", "Judged", "Matched", "judge", "match", "why_nothing"]


@dataclass(frozen=True, slots=True)
class Matched:
    """One Workflow (or ClusterWorkflow) that the alert starts, by that trigger, with its Agent where it names one."""

    workflow: Resource[Any]
    trigger: Trigger
    agent: Resource[Any] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """matched: by priority, highest first, then by name. passed_over: why Workflows whose matchers agree do not run."""

    matched: tuple[Matched, ...] = ()
    passed_over: tuple[str, ...] = ()


def match(alert: Alert, definitions: Definitions) -> Sequence[Matched]:
    """The Workflows that this alert starts, highest priority first; each at most once, by its first trigger."""
    return judge(alert, definitions).matched


def judge(alert: Alert, definitions: Definitions) -> Judged:
    """The same with the reasons of those that were passed over.

    The alert's `namespace` label must be the Workflow's own: whoever may write alert rules must not aim another team's
    Workflow (security.md B.2-4). `exported_namespace` never counts here: where the `namespace` label is enforced for
    a tenant, that one is still his to write.
    """
    matched: dict[str, Matched] = {}
    passed_over: dict[str, str] = {}
    for watched in definitions.watching(alert.name, alert.labels.get("namespace", "")):
        key = watched.workflow.key
        if key in matched or not all(matches(alert.labels) for matches in watched.matches):
            continue
        why = _objection(watched, alert, definitions)
        if why:
            passed_over[key] = f"{key}: {why}"
        else:
            workflow = watched.workflow
            matched[key] = Matched(workflow, watched.trigger, _agent(workflow, definitions))
    ordered = sorted(matched.values(), key=lambda m: (-m.workflow.spec.priority, m.workflow.key))
    return Judged(tuple(ordered), tuple(sorted(passed_over.values())))


def why_nothing(alert: Alert, judged: Judged, definitions: Definitions) -> list[str]:
    """For people: why this alert starts nothing."""
    if judged.passed_over:
        return list(judged.passed_over[:EXPLAINED])
    if not definitions.synced.is_set():
        return ["the Workflows are still being read; the alert is kept, and matched when it is sent again"]
    others = definitions.elsewhere(alert.name)
    if others:
        where = alert.labels.get("namespace", "")
        what = f"{others} triggers name {alert.name[:120]}"
        return [f"{what}, none of them for namespace {where[:63]!r} with these labels"]
    return [f"no trigger matches {alert.name[:120]}"]


def _objection(watched: Watched, alert: Alert, definitions: Definitions) -> str:
    resource = watched.workflow
    if resource.spec.suspend:
        return "it is suspended"
    if why := definitions.not_ready(resource):
        return why
    if resource.kind == "ClusterWorkflow" and (why := _outside(resource, alert, definitions)):
        return why
    if resource.spec.agent_ref is not None and _agent(resource, definitions) is None:
        return f"its Agent {resource.spec.agent_ref.name} is not known"  # its limits are not known either
    return ""


def _outside(resource: Resource[Any], alert: Alert, definitions: Definitions) -> str:
    selector, name = resource.spec.namespace_selector, alert.labels.get("namespace", "")
    if not selector.match_labels and not selector.match_expressions:
        return ""
    labels = definitions.namespace(name)
    if labels is None:
        return f"its namespaceSelector chooses, and namespace {name[:63]!r} of the alert is not known"
    return "" if selects(selector, labels) else f"its namespaceSelector does not choose {name[:63]!r}"


def _agent(resource: Resource[Any], definitions: Definitions) -> Resource[Any] | None:
    ref = resource.spec.agent_ref
    return None if ref is None else definitions.agent(getattr(ref, "namespace", resource.namespace), ref.name)
