"""Where the failure comes from: a Service that the target names, the cluster's DNS or a webhook, itself down.

Log text ("connection refused") only tells people more; the finding rests on specs (T2) and on status (T0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from akeso.decide.facts import podstate
from akeso.decide.facts.network import backing, named, services_of
from akeso.decide.facts.rollout import containers
from akeso.decide.facts.view import (
    View,
    condition,
    fact,
    items,
    message_of,
    name_of,
    namespace_of,
    path_of,
    top_owner,
)
from akeso.model.evidence import Fact
from akeso.model.objects import Object, dig, labels_of


def facts(view: View) -> Iterator[Fact]:
    workload = view.workload
    if workload is None:
        return
    dns = is_dns(workload)
    yield fact("cluster_dns", dns, f"{path_of(workload)} .metadata")
    if dns and is_down(view, workload) and dig(workload, "spec", "replicas", default=1) == 0:
        others = [d for d in view.snapshot.of_kind("Deployment") if d is not workload and is_dns(d)]
        yield fact("dns_gone", all(is_down(view, d) for d in others), f"{path_of(workload)} .spec.replicas, .status")
    if is_down(view, workload):
        yield fact("dependents_failing", _dependents(view, workload, dns), "Pods, .spec.template of other workloads")


def find(view: View) -> tuple[Object, str] | None:
    """The component that is down and its role (service, dns, webhook); None where there is none or several."""
    workload = view.workload
    if workload is None or not (podstate.failing(view.pods) or _rejected(view)):
        return None
    hooks = {path_of(w): (w, "webhook") for w in _webhooks(view)} if _rejected(view) else {}
    found = hooks or {path_of(w): (w, "service") for w in needed(view) if is_down(view, w)}
    if not found and _many_fail(view):
        found = {
            path_of(w): (w, "dns") for w in view.snapshot.of_kind("Deployment") if is_dns(w) and is_down(view, w)
        }
    found = {key: value for key, value in found.items() if key != path_of(workload) and key not in view.trail}
    return next(iter(found.values())) if len(found) == 1 else None


def is_down(view: View, workload: Object) -> bool:
    """Not one ready replica, by its own status and by its pods."""
    if workload.get("kind") == "DaemonSet" or dig(workload, "status") is None:
        return False
    pods = [p for p in view.snapshot.of_kind("Pod") if top_owner(view.snapshot, p) is workload]
    return dig(workload, "status", "readyReplicas", default=0) == 0 and not podstate.ready(pods)


def is_dns(workload: Object) -> bool:
    return namespace_of(workload) == "kube-system" and (
        labels_of(workload).get("k8s-app") == "kube-dns" or name_of(workload) in ("coredns", "kube-dns")
    )


def needed(view: View) -> list[Object]:
    """Workloads behind the Services that the pod template names in env, command or args; or that its pods' logs name
    (T3: a pointer only) while an alert of the same notification is about that very workload."""
    text = _spec_text(view)
    said = _log_text(view)
    alerted = {
        a.labels.get("deployment") or a.labels.get("statefulset") or a.labels.get("pod") or ""
        for a in view.snapshot.alerts
    }
    own = {name_of(s) for s in services_of(view)}
    found = []
    for service in view.snapshot.of_kind("Service"):
        name, namespace = name_of(service), namespace_of(service)
        if name in own and namespace == view.namespace:
            continue
        spec, logs = (_mentions(t, name, namespace, view.namespace) for t in (text, said))
        behind = backing(view, service) if spec or logs else None
        if behind is None or behind is view.workload:
            continue
        if spec or any(a == name_of(behind) or a.startswith(f"{name_of(behind)}-") for a in alerted):
            found.append(behind)
    return found


def _log_text(view: View) -> str:
    mine = tuple(f"{namespace_of(p)}/{name_of(p)}/" for p in view.pods)
    return "\n".join(
        text[-4096:] for key, text in sorted(view.snapshot.logs.items()) if mine and key.startswith(mine)
    )


def _spec_text(view: View) -> str:
    """Values of env (its own, and those of ConfigMaps that the snapshot holds), commands and args."""
    parts: list[str] = []
    for container in containers(view.template).values():
        for env in items(container, "env"):
            parts.append(str(env.get("value", "")))
            ref = dig(env, "valueFrom", "configMapKeyRef", default={})
            parts.append(str(_config(view, dig(ref, "name")).get(dig(ref, "key"), "")))
        for source in items(container, "envFrom"):
            parts += [str(v) for v in _config(view, dig(source, "configMapRef", "name")).values()]
        parts += [str(a) for key in ("command", "args") for a in dig(container, key, default=[])]
    return "\n".join(parts)[:65536]


def _config(view: View, name: Any) -> Mapping[str, Any]:
    found = dig(view.snapshot.find("ConfigMap", str(name), view.namespace), "data", default={}) if name else {}
    return found if isinstance(found, Mapping) else {}


def _mentions(text: str, service: str, namespace: str, own_namespace: str) -> bool:
    """The Service as a host name: bare in its own namespace, `name.namespace` in another."""
    host = re.escape(service) if namespace == own_namespace else rf"{re.escape(service)}\.{re.escape(namespace)}"
    return (
        bool(service)
        and re.search(rf"(?<![\w.-]){host}(?![\w-])(?!\.(?!{re.escape(namespace)}\b)\w)", text) is not None
    )


def _rejected(view: View) -> list[str]:
    """What the API server said where a webhook could not be called."""
    makers = [o for o in (view.workload, view.current) if o is not None]
    texts = [str(dig(condition(o, "ReplicaFailure"), "message", default="")) for o in makers]
    texts += [message_of(e) for e in view.events_about(*makers) if e.get("reason") == "FailedCreate"]
    return [t for t in texts if "failed calling webhook" in t.lower()]


def _webhooks(view: View) -> list[Object]:
    """Workloads behind the fail-closed webhooks of the cluster that are down, and behind that of the rejection."""
    found = [w for text in _rejected(view) for w in _named_in(view, text)]
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for config in view.snapshot.of_kind(kind):
            for hook in items(config, "webhooks"):
                ref = dig(hook, "clientConfig", "service")
                if ref is None or hook.get("failurePolicy", "Fail") != "Fail":
                    continue
                service = named(view, str(ref.get("namespace")), str(ref.get("name")))
                behind = backing(view, service) if service is not None else None
                if behind is not None and is_down(view, behind):
                    found.append(behind)
    return found


def _named_in(view: View, text: str) -> list[Object]:
    match = re.search(r"https://([a-z0-9-]{1,63})\.([a-z0-9-]{1,63})\.svc\b", text)
    service = named(view, match.group(2), match.group(1)) if match else None
    behind = backing(view, service) if service is not None else None
    return [behind] if behind is not None and is_down(view, behind) else []


def _failing_workloads(view: View) -> list[Object]:
    owners = {
        path_of(o): o
        for p in view.snapshot.of_kind("Pod")
        if podstate.failure_mode(p) is not None
        if (o := top_owner(view.snapshot, p)).get("kind") in ("Deployment", "StatefulSet", "DaemonSet")
    }
    return list(owners.values())


def _many_fail(view: View) -> bool:
    return len(_failing_workloads(view)) >= 2


def _dependents(view: View, workload: Object, dns: bool) -> int:
    others = [o for o in _failing_workloads(view) if o is not workload]
    if dns:
        return len(others) if len(others) >= 2 else 0
    count = sum(1 for o in others if any(n is workload for n in needed(view.seen_from(o))))
    makers = [view.seen_from(d) for d in view.snapshot.of_kind("Deployment") if d is not workload]
    return count + sum(1 for m in makers if _rejected(m) and any(w is workload for w in _webhooks(m)))
