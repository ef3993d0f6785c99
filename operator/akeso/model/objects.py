"""References to Kubernetes objects, and safe reads of raw ones.

Raw objects stay plain dicts, as the API server sent them: typed client models drop the fields that they do not know.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
"""A whole Kubernetes object as the API server returns it (JSON)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A served resource: enough to build its URL."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Names one object. `uid` is set once it was read; a namesake with another uid is another object."""

    kind: Kind
    namespace: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        """`Deployment/checkout`, as people write it."""
        return f"{self.kind.kind}/{self.name}"

    @property
    def key(self) -> str:
        """One string per object that ever lived under this name; used for locks and cooldowns."""
        return f"{self.kind.group}/{self.kind.kind}/{self.namespace}/{self.name}"


POD = Kind("", "v1", "Pod", "pods")
NODE = Kind("", "v1", "Node", "nodes", namespaced=False)
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
SERVICE = Kind("", "v1", "Service", "services")
PVC = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
EVENT = Kind("", "v1", "Event", "events")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
REPLICASET = Kind("apps", "v1", "ReplicaSet", "replicasets")
STATEFULSET = Kind("apps", "v1", "StatefulSet", "statefulsets")
DAEMONSET = Kind("apps", "v1", "DaemonSet", "daemonsets")
JOB = Kind("batch", "v1", "Job", "jobs")
CRONJOB = Kind("batch", "v1", "CronJob", "cronjobs")
HPA = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
PDB = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
ENDPOINTSLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
STORAGECLASS = Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False)
LIMITRANGE = Kind("", "v1", "LimitRange", "limitranges")
RESOURCEQUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
SERVICEACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")

KINDS: Sequence[Kind] = (
    POD, NODE, NAMESPACE, SERVICE, PVC, EVENT, DEPLOYMENT, REPLICASET, STATEFULSET, DAEMONSET, JOB, CRONJOB, HPA, PDB,
    ENDPOINTSLICE, STORAGECLASS, LIMITRANGE, RESOURCEQUOTA, LEASE, SERVICEACCOUNT,
)
"""What Akeso reads. The operator's read-only ClusterRole is generated from it (Secrets and ConfigMaps are not here)."""


def kind_named(kind: str, group: str | None = None) -> Kind | None:
    """The Kind of that name among KINDS, or None. `group` None means any."""
    return next((k for k in KINDS if k.kind == kind and group in (None, k.group)), None)


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """`dig(pod, "status", "phase")`: the value at that path, or the default where anything on the way is missing."""
    for key in path:
        if isinstance(key, str) and (isinstance(obj, dict) or isinstance(obj, Mapping)):  # noqa: SIM101 a dict is quick to tell
            obj = obj.get(key)
        elif isinstance(key, int) and _is_list(obj) and -len(obj) <= key < len(obj):
            obj = obj[key]
        else:
            return default
    return default if obj is None else obj


def _is_list(obj: Any) -> bool:
    return isinstance(obj, Sequence) and not isinstance(obj, str)


def ref_of(obj: Object, kind: Kind | None = None) -> ObjectRef:
    """The reference of a raw object. Its kind is taken from `kind` where list items carry none."""
    if kind is None:
        group, _, _ = str(obj.get("apiVersion", "")).rpartition("/")
        kind = kind_named(str(obj.get("kind", "")), group)
        if kind is None:
            raise ValueError(f"unknown kind {obj.get('apiVersion')}/{obj.get('kind')}")
    meta = obj.get("metadata") or {}
    return ObjectRef(kind, meta.get("namespace", ""), meta.get("name", ""), meta.get("uid", ""))


def annotations_of(obj: Object | None) -> Mapping[str, str]:
    return dig(obj, "metadata", "annotations", default={})  # type: ignore[no-any-return]


def labels_of(obj: Object | None) -> Mapping[str, str]:
    return dig(obj, "metadata", "labels", default={})  # type: ignore[no-any-return]


def marked(obj: Object | None, key: str) -> bool:
    """True where the object carries `key: "true"` as a label or an annotation."""
    return labels_of(obj).get(key) == "true" or annotations_of(obj).get(key) == "true"


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """The owner reference with `controller: true`, or None."""
    owners = dig(obj, "metadata", "ownerReferences", default=[])
    return next((o for o in owners if o.get("controller")), None)


def lean(obj: Object) -> Object:
    """The object without what only bookkeeps it and nobody here reads; a third of the memory of a custom resource."""
    meta = dict(obj.get("metadata") or {})
    meta.pop("managedFields", None)
    if "kubectl.kubernetes.io/last-applied-configuration" in (meta.get("annotations") or {}):
        meta["annotations"] = {k: v for k, v in meta["annotations"].items()
                               if k != "kubectl.kubernetes.io/last-applied-configuration"}
    return {**obj, "metadata": meta}
