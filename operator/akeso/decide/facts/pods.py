"""Facts about the pods of the workload: who crashes, how, on which template."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from akeso.decide.facts import podstate
from akeso.decide.facts.podstate import Termination, failure_mode
from akeso.decide.facts.view import View, condition_is, fact, items, message_of, name_of, namespace_of, path_of, when
from akeso.model.evidence import Fact, Tier
from akeso.model.objects import Object, dig

OOM_WINDOW_SECONDS: Final = 3600.0
"""Longer than the 5-minute back-off of a crash loop plus the 15 minutes of the stock alerts."""


def facts(view: View) -> Iterator[Fact]:
    if view.workload is None or not view.pods:
        return
    yield from _counts(view)
    yield from _modes(view)
    yield from _crashes(view)
    yield from _ooms(view)
    yield from _images(view)
    yield from _lone(view)


def _counts(view: View) -> Iterator[Fact]:
    source = f"Pods of {path_of(view.workload)}"
    yield fact("pods_seen", len(view.pods), source)
    yield fact("pods_ready", len(podstate.ready(view.pods)), source)
    yield fact("pods_failing", len(podstate.failing(view.pods)), source)
    if view.workload is not None and view.workload.get("kind") == "Deployment" and view.current is None:
        return
    yield fact("current_pods_failing", len(podstate.failing(view.current_pods)), source)
    yield fact("current_pods_ready", len(podstate.ready(view.current_pods)), source)
    yield fact("old_pods_ready", len(podstate.ready(view.old_pods)), source)
    yield fact("old_pods_failing", len(podstate.failing(view.old_pods)), source)


def _modes(view: View) -> Iterator[Fact]:
    modes = sorted({mode for p in view.pods if (mode := failure_mode(p))})
    yield fact("failure_modes", tuple(modes), "Pods .status")
    reasons = Counter(str(w.get("reason")) for p in view.pods for w in podstate.waiting(p) if w.get("reason"))
    if reasons:
        reason = min(reasons, key=lambda r: (-reasons[r], r))
        yield fact("waiting_reason", reason, "Pods .status.containerStatuses[].state.waiting")
    yield fact(
        "restarts_max", max(podstate.restarts(p) for p in view.pods), "Pods .status.containerStatuses[].restartCount"
    )
    text = " ".join(
        message_of(e).lower() for e in view.events_about(*view.pods) if e.get("reason") in ("Killing", "Unhealthy")
    )
    if "liveness probe" in text:
        yield fact("liveness_kills", True, "Events Killing, Unhealthy")


def _crashes(view: View) -> Iterator[Fact]:
    ends = [t for p in view.pods if failure_mode(p) == podstate.CRASH for t in podstate.terminations(p)]
    if not ends:
        return
    newest = max(ends, key=lambda t: (t.at is not None, t.at.timestamp() if t.at else 0.0, t.pod, t.container))
    source = f"Pod/{newest.pod} .status.containerStatuses[{newest.container}]"
    yield fact("crash_exit_code", newest.exit_code, source)
    yield fact("crash_reason", newest.reason, source)


def _ooms(view: View) -> Iterator[Fact]:
    deployment = view.workload is not None and view.workload.get("kind") == "Deployment"
    if deployment and view.current is None:
        return
    kills = oom_kills(view, view.current_pods)
    yield fact("oom_kills", len(kills), "Pods .status.containerStatuses[].lastState.terminated")
    yield fact("oom_on_old_revision", bool(oom_kills(view, view.old_pods)), "Pods of earlier ReplicaSets")
    if not kills:
        return
    newest = max(kills, key=lambda t: (t.at.timestamp() if t.at else 0.0, t.pod))
    source = f"Pod/{newest.pod} .status.containerStatuses[{newest.container}].lastState.terminated"
    yield fact("oom_restarts", sum(t.restarts for t in kills), source)
    if len({t.container for t in kills}) == 1:
        yield fact("oom_container", newest.container, source)
    age = view.age(newest.at)
    if age is not None:
        yield fact("last_oom_age_seconds", age, source)


def oom_kills(view: View, pods: Sequence[Object]) -> list[Termination]:
    """OOM kills within the window; one without a time counts where its container is down right now."""
    found = []
    for pod in pods:
        down = failure_mode(pod) == podstate.CRASH
        for end in podstate.terminations(pod):
            age = view.age(end.at)
            if end.reason == "OOMKilled" and (down if age is None else -60 <= age <= OOM_WINDOW_SECONDS):
                found.append(end)
    return found


def _images(view: View) -> Iterator[Fact]:
    mine = [p for p in view.pods if failure_mode(p) == podstate.IMAGE]
    missing = [p for p in view.pods if failure_mode(p) == podstate.CONFIG]
    if missing:
        names = tuple(
            sorted({n for p in missing for w in podstate.waiting(p) for n in missing_refs(str(w.get("message", "")))})
        )
        if names:
            yield fact(
                "config_refs_missing",
                names,
                "Pods .status.containerStatuses[].state.waiting.message",
                Tier.CONTROLLER,
            )
    if not mine:
        return
    text = " ".join(
        [str(w.get("message", "")) for p in mine for w in podstate.waiting(p)]
        + [message_of(e) for e in view.events_about(*mine) if e.get("reason") == "Failed"]
    )
    yield fact("pull_failure", pull_failure(text), "Pods .status.containerStatuses[].state.waiting.message")
    others = {
        (namespace_of(p), str(dig(p, "metadata", "ownerReferences", 0, "name", default=name_of(p))))
        for p in view.snapshot.of_kind("Pod")
        if p not in view.pods and failure_mode(p) == podstate.IMAGE
    }
    yield fact("pulls_failing_elsewhere", len(others), "Pods of other workloads")


def missing_refs(message: str) -> list[str]:
    """`secret "db" not found`, `couldn't find key pw in Secret shop/db` -> the object names."""
    found = re.findall(r'(?i)(?:secret|configmap) "([^"]{1,253})" not found', message)
    return found + re.findall(r"(?i)in (?:secret|configmap) (?:[\w.-]+/)?([\w.-]{1,253})", message)


_PULL = (
    (
        "unreachable",
        r"i/o timeout|no such host|connection refused|deadline exceeded|\b50[0-4]\b|toomanyrequests|\b429\b|"
        r"network is unreachable|tls|x509|connection reset|service unavailable",
    ),
    ("not_found", r"not found|manifest unknown|does not exist|name unknown|invalid reference|no match for platform"),
    ("auth", r"unauthorized|\b401\b|forbidden|\b403\b|authorization|authentication|denied"),
)


def pull_failure(text: str) -> str:
    lowered = text.lower()
    return next((kind for kind, pattern in _PULL if re.search(pattern, lowered)), "unknown")


def _excused(view: View, bad: Sequence[Object]) -> Iterator[Fact]:
    """Why failing pods of the newest template say nothing about it: a sick node, or a start that is under way."""
    if not bad:
        return
    under = [view.snapshot.find("Node", str(dig(p, "spec", "nodeName", default=""))) for p in bad]
    if all(node is not None and dig(node, "status", "conditions") for node in under):
        sick = all(condition_is(n, "Ready") is not True or condition_is(n, "NetworkUnavailable") for n in under)
        yield fact("failing_on_sick_nodes", sick, "Nodes .status.conditions[Ready]")
    if all(failure_mode(p) == podstate.NOT_READY for p in bad):
        yield fact("still_starting", all(_starting(view, p) for p in bad), "Pods .status, .spec.containers[] probes")


def _starting(view: View, pod: Object) -> bool:
    inner = {c.get("name"): c for c in items(pod, "spec", "containers")}
    for status in podstate.statuses(pod):
        container = inner.get(status.get("name"), {})
        if status.get("ready") or podstate.restarts_of(status):
            continue
        if container.get("startupProbe") and status.get("started") is False:
            return True  # the kubelet would have killed it, had the probe used up its time
        delay = dig(container, "readinessProbe", "initialDelaySeconds", default=0)
        age = view.age(when(status, "state", "running", "startedAt"))
        if isinstance(delay, int) and age is not None and 0 <= age < delay:
            return True
    return False


def _lone(view: View) -> Iterator[Fact]:
    """One pod that hangs while its siblings of the same template serve."""
    bad = podstate.failing(view.current_pods)
    good = podstate.ready(view.current_pods)
    if len(bad) == 1 and good and not podstate.failing(view.old_pods) and failure_mode(bad[0]) == podstate.NOT_READY:
        age = view.age(podstate.not_ready_since(bad[0]))
        yield fact("stuck_pod", path_of(bad[0]), f"Pod/{name_of(bad[0])} .status.conditions[Ready]")
        node = view.snapshot.find("Node", str(dig(bad[0], "spec", "nodeName", default="")))
        serves = condition_is(node, "Ready")
        if serves is not None:
            yield fact("stuck_pod_node_ready", serves, f"{path_of(node)} .status.conditions[Ready]")
        if age is not None:
            yield fact(
                "stuck_pod_seconds", age, f"Pod/{name_of(bad[0])} .status.conditions[Ready].lastTransitionTime"
            )
    yield from _excused(view, bad)
    nodes = {str(dig(p, "spec", "nodeName", default="")) for p in bad}
    others = {str(dig(p, "spec", "nodeName", default="")) for p in good}
    if len(bad) >= 1 and len(nodes) == 1 and "" not in nodes and others and not others & nodes:
        yield fact("failing_share_one_node", next(iter(nodes)), "Pods .spec.nodeName")
