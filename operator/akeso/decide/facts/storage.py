"""Facts about PersistentVolumeClaims: of the target, or those that its pods mount."""
from __future__ import annotations

from collections.abc import Iterator

from akeso.decide.facts.quantity import quantity
from akeso.decide.facts.view import View, condition_is, fact, items, name_of, namespace_of, path_of
from akeso.model.evidence import Fact
from akeso.model.objects import Object, dig


def facts(view: View) -> Iterator[Fact]:
    claims = _claims(view)
    if not claims:
        return
    pending = [c for c in claims if dig(c, "status", "phase") == "Pending"]
    claim = (pending or sorted(claims, key=lambda c: -(_share(view, c) or 0.0)))[0]
    where = path_of(claim)
    yield fact("pvc", where, where)
    yield fact("pvc_pending", bool(pending), f"{where} .status.phase")
    yield from _class(view, claim)
    share = _share(view, claim)
    if share is not None:
        yield fact("pvc_used_share", round(share, 4), "kubelet_volume_stats_used_bytes / _capacity_bytes")
    inodes = _ratio(view, claim, "kubelet_volume_stats_inodes_used", "kubelet_volume_stats_inodes")
    if inodes is not None:
        yield fact("pvc_inodes_used_share", round(inodes, 4), "kubelet_volume_stats_inodes_used / _inodes")
    resizing = any(condition_is(claim, t) for t in ("Resizing", "FileSystemResizePending"))
    yield fact("pvc_resizing", resizing, f"{where} .status.conditions")
    if view.target is claim and view.gathered("Pod"):
        users = [p for p in view.snapshot.of_kind("Pod") if _mounts(p, claim)
                 and dig(p, "status", "phase") not in ("Succeeded", "Failed")]
        yield fact("pvc_unused", not users, "Pods .spec.volumes")


def _claims(view: View) -> list[Object]:
    if view.target is not None and view.target.get("kind") == "PersistentVolumeClaim":
        return [view.target]
    return [c for c in view.snapshot.of_kind("PersistentVolumeClaim") if any(_mounts(p, c) for p in view.pods)]


def _mounts(pod: Object, claim: Object) -> bool:
    return namespace_of(pod) == namespace_of(claim) and any(
        dig(v, "persistentVolumeClaim", "claimName") == name_of(claim) for v in items(pod, "spec", "volumes"))


def _class(view: View, claim: Object) -> Iterator[Fact]:
    name = dig(claim, "spec", "storageClassName")
    if not name or not view.gathered("StorageClass"):
        return
    found = view.snapshot.find("StorageClass", str(name))
    if found is not None:
        yield fact("pvc_expandable", found.get("allowVolumeExpansion") is True, f"StorageClass/{name}")
        return
    said = [e for e in view.events_about(claim) if e.get("reason") == "ProvisioningFailed"]
    if said or view.snapshot.of_kind("StorageClass"):
        yield fact("storage_class_missing", str(name), f"{path_of(claim)} .spec.storageClassName")


def _share(view: View, claim: Object) -> float | None:
    """used / capacity; or what is not available of it, which counts the blocks kept for root as used."""
    capacity = "kubelet_volume_stats_capacity_bytes"
    used = _ratio(view, claim, "kubelet_volume_stats_used_bytes", capacity)
    if used is not None:
        return used
    free = _ratio(view, claim, "kubelet_volume_stats_available_bytes", capacity)
    return None if free is None else 1 - free


def _ratio(view: View, claim: Object, part: str, whole: str) -> float | None:
    values = [_newest(view, claim, metric) for metric in (part, whole)]
    if values[1] is None and whole.endswith("capacity_bytes"):
        values[1] = quantity(dig(claim, "status", "capacity", "storage"))
    if values[0] is None or not values[1]:
        return None
    return values[0] / values[1] if 0 <= values[0] <= values[1] else None


def _newest(view: View, claim: Object, metric: str) -> float | None:
    """The newest sample: a claim whose pod moved has a series per node. None where two are as new and differ."""
    found = [s.values[-1] for s in view.snapshot.series if s.metric == metric and s.values
             and s.labels.get("persistentvolumeclaim") == name_of(claim)
             and s.labels.get("namespace") == namespace_of(claim)]
    newest = {value for at, value in found if at == max(t for t, _ in found)}
    return newest.pop() if len(newest) == 1 else None
