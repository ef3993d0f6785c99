"""Every fact there is: its type, unit, the least trusted hand that could have written it, and what it means.

A fact that cannot be known is absent from what `extract` returns; absent never means false.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from akeso.model.evidence import Tier

DEPENDENCY_PREFIX: Final = "dependency_"
"""`dependency_X` is fact X about the component that the target's failure comes from (facts/dependency.py)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue. `type` is bool, int, float, str or strings; `unit` is empty where there is none."""

    name: str
    type: str
    unit: str
    tier: Tier
    meaning: str


_T0, _T1, _T2, _T3 = Tier.API_SERVER, Tier.CONTROLLER, Tier.TENANT, Tier.INTERNET

_ENTRIES: Final = (
    # the alert
    Entry("alert_name", "str", "", _T2, "label alertname"),
    Entry("alert_resolved", "bool", "", _T1, "no alert of the notification is firing any more"),
    Entry("alert_age_seconds", "float", "s", _T1, "since the alert's startsAt"),
    Entry("alerting_workloads", "int", "", _T1, "different workloads that the alerts are about"),
    Entry("alerting_nodes", "int", "", _T1, "different nodes that the alerts are about"),
    Entry("alerts_on_subject", "int", "", _T1, "alerts about the same workload: one action answers them all"),
    Entry("alert_foreign_namespace", "bool", "", _T2, "the alert points into a namespace not its rule's own"),
    Entry("alert_claims_oom", "bool", "", _T3, "the alert's text speaks of memory; never the support of an action"),
    Entry("alert_text_contradicted", "bool", "", _T3, "the alert's text claims what the status denies"),
    # consent and plans
    Entry("target_kind", "str", "", _T0, "the kind that the alert was resolved to"),
    Entry("subject", "str", "", _T0, "the workload or node that is judged: Kind/namespace/name"),
    Entry("protected", "bool", "", _T2, "marked akeso.dev/protected"),
    Entry("paused", "bool", "", _T2, "marked akeso.dev/paused"),
    Entry("cluster_dns", "bool", "", _T0, "the workload is the cluster's DNS"),
    Entry("system_namespace", "bool", "", _T0, "the workload lives in a kube- namespace"),
    Entry("operator_owned", "bool", "", _T0, "a custom resource owns the workload; its operator would revert a change"),
    Entry("planned_change", "bool", "", _T2, "an annotation on it, its namespace or node tells of a plan"),
    Entry("planned_marker", "str", "", _T2, "the key of that annotation"),
    # the workload
    Entry("workload_kind", "str", "", _T0, "Deployment, StatefulSet, DaemonSet, Job, CronJob or Pod"),
    Entry("desired_replicas", "int", "", _T2, "spec.replicas"),
    Entry("ready_replicas", "int", "", _T0, "status.readyReplicas"),
    Entry("scaled_to_zero", "bool", "", _T2, "spec.replicas is 0"),
    Entry("rollout_paused", "bool", "", _T2, "spec.paused"),
    Entry("being_deleted", "bool", "", _T0, "the workload carries a deletionTimestamp"),
    Entry("healthy", "bool", "", _T0, "every replica ready on the newest template, no restarts lately"),
    Entry("pdb_disruptions_allowed", "int", "", _T0, "of the PodDisruptionBudget that covers the pods"),
    Entry("create_failure", "str", "", _T1, "why no pods are created: webhook, podsecurity, quota, forbidden, other"),
    Entry("quota_exhausted", "bool", "", _T0, "a ResourceQuota of the namespace is used up"),
    # pods
    Entry("pods_seen", "int", "", _T0, "pods of the workload"),
    Entry("pods_ready", "int", "", _T0, "of these, Ready"),
    Entry("pods_failing", "int", "", _T0, "of these, crashing, waiting with an error, unschedulable or not ready"),
    Entry("current_pods_failing", "int", "", _T0, "failing pods of the newest template"),
    Entry("current_pods_ready", "int", "", _T0, "Ready pods of the newest template"),
    Entry("old_pods_ready", "int", "", _T0, "Ready pods of earlier templates"),
    Entry("old_pods_failing", "int", "", _T0, "failing pods of earlier templates"),
    Entry("failure_modes", "strings", "", _T0, "crash, image, config, unschedulable, not_ready, creating, evicted"),
    Entry("waiting_reason", "str", "", _T0, "the commonest waiting reason of a container"),
    Entry("crash_exit_code", "int", "", _T0, "exit code of the newest crash"),
    Entry("crash_reason", "str", "", _T0, "reason of the newest crash as the kubelet wrote it"),
    Entry("restarts_max", "int", "", _T0, "highest restart count of a container"),
    Entry("oom_kills", "int", "", _T0, "OOMKilled terminations on the newest template, last hour"),
    Entry("oom_restarts", "int", "", _T0, "restarts of the containers that were OOM-killed"),
    Entry("oom_container", "str", "", _T0, "the container that was OOM-killed"),
    Entry("oom_on_old_revision", "bool", "", _T0, "pods of an earlier template are OOM-killed too"),
    Entry("last_oom_age_seconds", "float", "s", _T0, "since the newest OOM kill"),
    Entry("stuck_pod", "str", "", _T0, "the one pod that runs without being ready while its siblings serve"),
    Entry("stuck_pod_seconds", "float", "s", _T0, "how long it has not been ready"),
    Entry("stuck_pod_node_ready", "bool", "", _T0, "the node that it runs on is Ready"),
    Entry("config_refs_missing", "strings", "", _T0, "ConfigMaps or Secrets that the kubelet says are missing"),
    Entry("pull_failure", "str", "", _T3, "not_found, auth, unreachable or unknown: the registry's words"),
    Entry("pulls_failing_elsewhere", "int", "", _T0, "other workloads that cannot pull an image now"),
    Entry("failing_share_one_node", "str", "", _T0, "the only node where pods fail while those on other nodes serve"),
    Entry("failing_on_sick_nodes", "bool", "", _T0, "all failing pods of the newest template run on nodes that fail"),
    Entry("still_starting", "bool", "", _T0, "its failing pods are within the time that their probes give them"),
    Entry("liveness_kills", "bool", "", _T1, "the kubelet restarts the container because its liveness probe fails"),
    # rollout
    Entry("revision", "int", "", _T1, "deployment.kubernetes.io/revision"),
    Entry("first_revision", "bool", "", _T1, "there never was another template"),
    Entry("rollout_age_seconds", "float", "s", _T0, "since the newest template came"),
    Entry("rollout_in_progress", "bool", "", _T0, "not every replica is of the newest template and available"),
    Entry("previous_revision_exists", "bool", "", _T0, "an earlier ReplicaSet is still there"),
    Entry("old_revision_ready", "bool", "", _T0, "pods of an earlier template are available now"),
    Entry("previous_was_available", "bool", "", _T0, "the workload was Available until the newest template came"),
    Entry("current_never_ready", "bool", "", _T0, "no pod of the newest template is ready or was for long"),
    Entry("only_new_revision_fails", "bool", "", _T0, "only the newest template fails; an earlier one serves or did"),
    Entry("failure_follows_rollout", "bool", "", _T1,
          "the alert fired within 90 minutes after the newest template came"),
    Entry("failure_before_rollout", "bool", "", _T1, "the alert fired before the newest template came"),
    Entry("template_changes", "strings", "", _T2, "what the newest template changed"),
    Entry("template_restart_only", "bool", "", _T2, "the newest template differs only in annotations: a restart"),
    Entry("memory_limit_lowered", "bool", "", _T2, "the newest template lowered a memory limit"),
    Entry("requests_raised", "bool", "", _T2, "the newest template raised cpu or memory requests"),
    # scheduling
    Entry("pods_unschedulable", "int", "", _T0, "pods with PodScheduled=False, Unschedulable"),
    Entry("unschedulable_reasons", "strings", "", _T0,
          "cpu, memory, selector, taint, anti_affinity, volume, other: as the scheduler counted nodes"),
    Entry("scale_up_triggered", "bool", "", _T1, "an autoscaler of nodes is bringing a node for these pods"),
    Entry("requests_exceed_every_node", "bool", "", _T0, "a pod asks for more than any node could ever allocate"),
    Entry("selector_matches_no_node", "bool", "", _T0, "nodeSelector or required affinity matches no Node"),
    Entry("untolerated_taints", "strings", "", _T1, "taints that keep the pods off nodes that else would do"),
    Entry("taint_is_planned", "bool", "", _T1, "such a taint, or its node, tells of maintenance"),
    # nodes
    Entry("node", "str", "", _T0, "the node that the alert is about: Node/name"),
    Entry("node_ready", "bool", "", _T0, "condition Ready is True"),
    Entry("node_not_ready_seconds", "float", "s", _T0, "since Ready left True"),
    Entry("node_ready_seconds", "float", "s", _T0, "since Ready became True"),
    Entry("node_lease_age_seconds", "float", "s", _T0, "since the kubelet last renewed its lease or heartbeat"),
    Entry("node_pressure", "strings", "", _T0, "pressure conditions that are True"),
    Entry("node_cordoned", "bool", "", _T1, "spec.unschedulable"),
    Entry("node_cordoned_by_us", "bool", "", _T1, "with our annotation"),
    Entry("nodes_total", "int", "", _T0, "nodes seen"),
    Entry("nodes_not_ready", "int", "", _T0, "nodes whose Ready is not True"),
    Entry("nodes_not_ready_share", "float", "", _T0, "of all nodes"),
    Entry("mass_node_failure", "bool", "", _T0, "more than half of the nodes fail, or alert, at once"),
    Entry("nodes_left", "int", "", _T0, "other nodes that are Ready and schedulable"),
    Entry("nodes_cordoned_by_us", "int", "", _T1, "other nodes that Akeso holds cordoned"),
    Entry("pressure_culprit", "str", "", _T0, "the one evictable pod that uses most of the node's pressed resource"),
    Entry("pressure_culprit_share", "float", "", _T0, "its share of what all pods of the node use"),
    # metrics
    Entry("memory_limit_bytes", "int", "bytes", _T2, "memory limit of the judged container"),
    Entry("working_set_bytes", "float", "bytes", _T0, "newest working set, the highest of its pods"),
    Entry("working_set_share", "float", "", _T0, "working set / limit"),
    Entry("memory_slope_per_hour", "float", "bytes/h", _T0, "least squares over the working set"),
    Entry("memory_leak", "bool", "", _T0, "the working set grows in a line for an hour or more while load does not"),
    Entry("limit_fits_node", "bool", "", _T0, "1.5 times the limit still fits the nodes that the pods run on"),
    Entry("cpu_growth", "float", "", _T0, "cpu use of the last third against the first third of the window"),
    Entry("cpu_share", "float", "", _T0, "cpu use / cpu limit over the last minutes"),
    Entry("load_growth", "float", "", _T2, "request rate of the last third against the first third of the window"),
    Entry("demand_growth", "float", "", _T2, "the least growth that any request metric tells, retries left out"),
    Entry("queue_backlog", "bool", "", _T2, "a queue of it holds three times what it held, and stays so"),
    Entry("backlog_without_demand", "bool", "", _T2, "a queue grew while demand did not, or is not known"),
    Entry("load_peaked", "bool", "", _T2, "the request rate was half as high again, or more, and has come down"),
    Entry("retry_storm", "bool", "", _T2, "retries make up a third or more of the requests"),
    # autoscaling
    Entry("hpa", "str", "", _T0, "that HorizontalPodAutoscaler: Kind/namespace/name"),
    Entry("hpa_present", "bool", "", _T0, "a HorizontalPodAutoscaler scales the workload"),
    Entry("hpa_at_max", "bool", "", _T0, "current replicas are maxReplicas and it is ScalingLimited"),
    Entry("hpa_over_target", "bool", "", _T0, "a metric is above its target now"),
    Entry("hpa_active", "bool", "", _T0, "condition ScalingActive is True"),
    # jobs
    Entry("job", "str", "", _T0, "the Job that is judged: Kind/namespace/name"),
    Entry("job_failed", "bool", "", _T0, "condition Failed is True"),
    Entry("job_failure_reason", "str", "", _T0, "reason of that condition"),
    Entry("job_superseded", "bool", "", _T0, "a later Job of the same CronJob succeeded"),
    Entry("cronjob_failures_in_row", "int", "", _T0, "newest Jobs of the CronJob that failed one after another"),
    Entry("cronjob_suspended", "bool", "", _T2, "spec.suspend"),
    Entry("job_retry_safe", "bool", "", _T2, "annotated retry-safe"),
    # storage
    Entry("pvc", "str", "", _T0, "the claim that is judged: Kind/namespace/name"),
    Entry("pvc_pending", "bool", "", _T0, "a claim of the target is Pending"),
    Entry("storage_class_missing", "str", "", _T0, "the StorageClass that a claim names does not exist"),
    Entry("pvc_used_share", "float", "", _T0, "used / capacity by the kubelet"),
    Entry("pvc_inodes_used_share", "float", "", _T0, "inodes used / all"),
    Entry("pvc_expandable", "bool", "", _T1, "its StorageClass has allowVolumeExpansion"),
    Entry("pvc_resizing", "bool", "", _T0, "a resize is under way"),
    Entry("pvc_unused", "bool", "", _T0, "no pod mounts the claim"),
    # network
    Entry("service_port_mismatch", "str", "", _T2, "the Service whose targetPort no container of its pods serves"),
    Entry("service_foreign_pods", "str", "", _T0, "the Service whose selector also takes pods of another workload"),
    # what the failure comes from
    Entry("dependency", "str", "", _T0, "the component that the target needs and that is down: Kind/namespace/name"),
    Entry("dependency_role", "str", "", _T1, "service, dns or webhook"),
    Entry("dns_gone", "bool", "", _T0, "it is the cluster's DNS, has no replicas, and no other DNS serves"),
    Entry("dependents_failing", "int", "", _T0, "other workloads that fail and name this component in their spec"),
    # history
    Entry("ineffective_actions", "strings", "", _T1, "actions that were no use twice on this target in 24 hours"),
    Entry("memory_raises", "int", "", _T1, "set_memory_limit on this target in the last 24 hours"),
    Entry("rolled_back_lately", "bool", "", _T1, "rollback_deployment on this target in the last hour"),
    Entry("restarts_by_us", "int", "", _T1, "restart actions on this target in the last 24 hours"),
)

CATALOGUE: Final[Mapping[str, Entry]] = {entry.name: entry for entry in _ENTRIES}


def entry(name: str) -> Entry | None:
    """The catalogue's line for that name; a `dependency_` fact has the line of the fact it repeats."""
    found = CATALOGUE.get(name)
    if found is None and name.startswith(DEPENDENCY_PREFIX):
        found = CATALOGUE.get(name.removeprefix(DEPENDENCY_PREFIX))
    return found
