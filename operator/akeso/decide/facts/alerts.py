"""Facts about the alerts themselves. Their text is the internet's: it may raise a doubt, never carry an action."""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from akeso.decide.facts.view import View, fact, items, name_of, namespace_of, path_of, top_owner
from akeso.model.alert import Alert
from akeso.model.evidence import Fact, Snapshot
from akeso.model.objects import Object

_KINDS: Final = (
    ("deployment", "Deployment"), ("statefulset", "StatefulSet"), ("daemonset", "DaemonSet"), ("job_name", "Job"),
    ("cronjob", "CronJob"), ("pod", "Pod"),
)
_RULE_OWNER: Final = re.compile(
    r"(prometheus_?)?rules?_(source_|origin_|owner_)?(namespace|ns|owner|tenant)|(owner|source|origin|tenant)_namespace|tenant")
_OOM: Final = re.compile(r"(?i)oom|out[ -]of[ -]memory|memory limit|exit(?:ed)? (?:code )?137")


def facts(view: View) -> Iterator[Fact]:
    alerts = view.snapshot.alerts
    if not alerts:
        return
    first = alerts[0]
    yield fact("alert_name", first.name, "alert .labels.alertname")
    yield fact("alert_resolved", all(a.status == "resolved" for a in alerts), "alert .status")
    age = view.age(first.starts_at)
    if age is not None:
        yield fact("alert_age_seconds", age, "alert .startsAt")
    owners = [_owner(view, a) for a in alerts if a.status == "firing"]
    mine = path_of(view.workload) if view.workload is not None else ""
    yield fact("alerting_workloads", len({o for o in owners if o}), "alert .labels")
    yield fact("alerts_on_subject", sum(1 for o in owners if o and o == mine), "alert .labels")
    yield fact("alerting_nodes", len({a.labels["node"] for a in alerts if a.status == "firing" and _about_node(a)}),
               "alert .labels.node")
    heard = [a for a in alerts if a.status == "firing" or a is first]
    foreign = any(foreign_namespace(a) or rule_of_another(view.snapshot, a) for a in heard)
    yield fact("alert_foreign_namespace", foreign, "alert .labels, .receiver, PrometheusRules")
    yield fact("alert_claims_oom", bool(_OOM.search(" ".join(first.annotations.values()))), "alert .annotations")


def _about_node(alert: Alert) -> bool:
    return bool(alert.labels.get("node")) and "Node" in alert.name


def _owner(view: View, alert: Alert) -> str:
    """The workload that an alert names, as `Kind/namespace/name`; empty where the snapshot does not know it."""
    namespace = alert.labels.get("namespace", "")
    for label, kind in _KINDS:
        named = alert.labels.get(label, "")
        found: Object | None = view.snapshot.find(kind, named, namespace) if named and namespace else None
        if found is not None and name_of(found):
            return path_of(top_owner(view.snapshot, found))
    return ""


def foreign_namespace(alert: Alert) -> bool:
    """The alert is about a namespace that the owner of its rule or route does not own: a confused deputy.

    Known owners: a label that names the rule's namespace or tenant, and the receiver of an AlertmanagerConfig,
    which the Prometheus operator names `namespace/config/receiver`.
    """
    labels: Mapping[str, str] = {**alert.annotations, **alert.labels}
    namespace = labels.get("namespace", "")
    if not namespace:
        return False
    owners = {value.partition("/")[0] for key, value in labels.items() if value and _RULE_OWNER.fullmatch(key)}
    parts = alert.receiver.split("/")
    if len(parts) == 3:
        owners.add(parts[0])
    return any(owner != namespace and not namespace.startswith(f"{owner}-") for owner in owners)


def rule_of_another(snapshot: Snapshot, alert: Alert) -> bool:
    """Every PrometheusRule that defines this alert lies in a namespace that is neither the alert's nor Prometheus' own.

    Whoever may write into Prometheus' namespace (label `prometheus`, `namespace/name`) speaks for the whole cluster.
    """
    homes = {
        namespace_of(rule)
        for rule in snapshot.of_kind("PrometheusRule")
        for group in items(rule, "spec", "groups")
        if any(r.get("alert") == alert.name for r in items(group, "rules"))
    }
    platform = alert.labels.get("prometheus", "").partition("/")[0]
    namespace = alert.labels.get("exported_namespace") or alert.labels.get("namespace", "")
    return bool(homes) and bool(namespace) and bool(platform) and homes.isdisjoint({namespace, platform})
