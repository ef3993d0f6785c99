"""Which label of which alert names its object: one row per family of alerts (alerts.md 4.1 to 4.9).

A row is data. A new alert is a new row and one test per label style; strategies are in `targets.py`.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from akeso.model.objects import (
    CRONJOB,
    DAEMONSET,
    DEPLOYMENT,
    HPA,
    JOB,
    NODE,
    PDB,
    POD,
    PVC,
    REPLICASET,
    SERVICE,
    STATEFULSET,
    Kind,
)


@dataclass(frozen=True, slots=True)
class Look:
    """Find an object of `kind` by the value of `label`.

    For a Node, `label` may be: node or nodename (its name), instance (its name, or an address and port of it),
    pod (the node on which that pod runs: the pod is the exporter, never the target).
    """

    kind: Kind
    label: str


@dataclass(frozen=True, slots=True)
class Row:
    """alerts: names as a pattern, fully matched. looks: tried in order; the first that the API server knows wins.

    exported: the metric is kube-state-metrics', so the exporter's own pod in the labels is the trap, not the target.
    """

    alerts: str
    looks: tuple[Look, ...]
    exported: bool = False


_POD = (Look(POD, "pod"),)
_NODE = (Look(NODE, "node"), Look(NODE, "instance"))
_NODE_EXPORTER = (Look(NODE, "node"), Look(NODE, "nodename"), Look(NODE, "instance"), Look(NODE, "pod"))

ROWS: Final[tuple[Row, ...]] = (
    Row("KubePodCrashLooping|KubePodNotReady|KubeContainerWaiting", _POD, exported=True),
    Row(
        "(Kube)?(Container|Pod)(Container)?(OOM(Kill(ed|er|ing)?)?|OutOfMemory)|KubernetesContainerOomKiller",
        _POD, exported=True,
    ),
    Row("CPUThrottlingHigh", _POD),
    Row("KubeDeployment(ReplicasMismatch|RolloutStuck|GenerationMismatch)", (Look(DEPLOYMENT, "deployment"),)),
    Row("KubeStatefulSet(ReplicasMismatch|GenerationMismatch|UpdateNotRolledOut)", (Look(STATEFULSET, "statefulset"),)),
    Row("KubeDaemonSet(RolloutStuck|NotScheduled|MisScheduled)", (Look(DAEMONSET, "daemonset"),)),
    Row("KubeJob(Failed|NotCompleted|Completion)", (Look(JOB, "job_name"),)),
    Row("KubeHpa(MaxedOut|ReplicasMismatch)", (Look(HPA, "horizontalpodautoscaler"), Look(HPA, "hpa"))),
    Row("KubePersistentVolume(Inodes)?FillingUp", (Look(PVC, "persistentvolumeclaim"),)),
    Row("KubeNode(NotReady|Unreachable|Pressure|ReadinessFlapping|Eviction)|KubeletTooManyPods", _NODE),
    Row("Kubelet(PlegDurationHigh|PodStartUpLatencyHigh|(Client|Server)Certificate.*|InstanceUnreachable)", _NODE),
    Row(
        "Node(Filesystem|Network|Bonding|HighNumberConntrack|TextFileCollector|Clock|RAID|FileDescriptorLimit|CPU"
        "|SystemSaturation|Memory|DiskIO|Systemd).*", _NODE_EXPORTER,
    ),
)

GENERIC: Final = Row(".*", (
    Look(HPA, "horizontalpodautoscaler"), Look(PDB, "poddisruptionbudget"), Look(PVC, "persistentvolumeclaim"),
    Look(JOB, "job_name"), Look(CRONJOB, "cronjob"), Look(STATEFULSET, "statefulset"), Look(DAEMONSET, "daemonset"),
    Look(DEPLOYMENT, "deployment"), Look(REPLICASET, "replicaset"), Look(NODE, "node"), Look(POD, "pod"),
    Look(SERVICE, "service"),
))
"""Any other alert: the most specific object label first, since `pod` may be the exporter's (alerts.md 4.1 rule 1)."""

_COMPILED: Final = tuple((re.compile(row.alerts), row) for row in ROWS)


def row_for(alertname: str) -> Row:
    """The row of that alert, or GENERIC."""
    return next((row for pattern, row in _COMPILED if pattern.fullmatch(alertname)), GENERIC)
