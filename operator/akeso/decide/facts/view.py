"""One look at a snapshot: the workload behind the target, its revisions and its pods, found by owner references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from akeso.clock import parse_time
from akeso.decide.facts.catalogue import entry
from akeso.model.evidence import Fact, FactValue, Series, Snapshot, Tier
from akeso.model.objects import Object, ObjectRef, controller_of, dig, labels_of

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod")
REVISION = "deployment.kubernetes.io/revision"


def fact(name: str, value: FactValue, source: str, tier: Tier | None = None) -> Fact:
    """A fact of the catalogue. Its tier is the catalogue's, or a worse one that the caller names."""
    line = entry(name)
    if line is None:
        raise KeyError(f"{name} is not in the catalogue of facts")
    return Fact(name, value, source, line.tier if tier is None else max(tier, line.tier))


def notes_of(obj: Object | None) -> Mapping[str, str]:
    """Its annotations. (The name `annotations` belongs to `__future__` in every module here.)"""
    found = dig(obj, "metadata", "annotations", default={})
    return found if isinstance(found, Mapping) else {}


def name_of(obj: Object | None) -> str:
    return str(dig(obj, "metadata", "name", default=""))


def namespace_of(obj: Object | None) -> str:
    return str(dig(obj, "metadata", "namespace", default=""))


def path_of(obj: Object | None) -> str:
    """`Deployment/shop/web`: how facts name an object."""
    parts = (str(dig(obj, "kind", default="")), namespace_of(obj), name_of(obj))
    return "/".join(part for part in parts if part)


def when(obj: Any, *path: str | int) -> datetime | None:
    value = dig(obj, *path)
    return parse_time(value) if isinstance(value, str) else value if isinstance(value, datetime) else None


def items(obj: Any, *path: str | int) -> list[Any]:
    """The list at that path, or an empty one; entries that are no mappings are dropped."""
    value = dig(obj, *path, default=[])
    return [i for i in value if hasattr(i, "get")] if isinstance(value, list | tuple) else []


def condition(obj: Object | None, type_: str) -> Object | None:
    return next((c for c in items(obj, "status", "conditions") if c.get("type") == type_), None)


def condition_is(obj: Object | None, type_: str, status: str = "True") -> bool | None:
    """Whether that condition has that status; None where the object carries no such condition."""
    found = condition(obj, type_)
    return None if found is None or not found.get("status") else found["status"] == status


def owned_by(obj: Object, owner: Object) -> bool:
    """By uid; by kind and name only where one of both uids is missing."""
    for ref in items(obj, "metadata", "ownerReferences"):
        mine, theirs = ref.get("uid"), dig(owner, "metadata", "uid")
        if mine and theirs:
            if mine == theirs:
                return True
        elif (ref.get("kind"), ref.get("name")) == (owner.get("kind"), name_of(owner)) and namespace_of(
            obj
        ) == namespace_of(owner):
            return True
    return False


def revision_of(obj: Object | None) -> int | None:
    text = notes_of(obj).get(REVISION, "")
    return int(text) if isinstance(text, str) and text.isdecimal() else None


@dataclass(frozen=True, slots=True)
class View:
    """The snapshot seen from one workload or node.

    current, older  ReplicaSets of a Deployment: of the newest template, and earlier ones with the newest first
    pods            of the workload, without those that are being deleted or have ended well
    """

    snapshot: Snapshot
    target: Object | None = None
    workload: Object | None = None
    current: Object | None = None
    older: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    current_pods: Sequence[Object] = ()
    old_pods: Sequence[Object] = ()
    trail: frozenset[str] = field(default=frozenset())  # components already looked at, against loops

    @property
    def now(self) -> datetime:
        return self.snapshot.now

    @property
    def namespace(self) -> str:
        return namespace_of(self.workload) or namespace_of(self.target)

    @property
    def template(self) -> Any:
        return dig(self.workload, "spec", "template", default={})

    def age(self, moment: datetime | None) -> float | None:
        return None if moment is None else (self.now - moment).total_seconds()

    def gathered(self, kind: str) -> bool:
        """False where the snapshot says that this kind could not be read: then its absence means nothing."""
        return not any(kind.lower() in str(key).lower() for key in self.snapshot.missing)

    def events_about(self, *objects: Object | None) -> Iterator[Object]:
        wanted = {(o.get("kind"), namespace_of(o), name_of(o)) for o in objects if o is not None}
        for event in self.snapshot.events:
            about = event.get("involvedObject") or event.get("regarding") or {}
            if (about.get("kind"), about.get("namespace", ""), about.get("name")) in wanted:
                yield event

    def seen_from(self, workload: Object) -> View:
        """The same snapshot from another workload."""
        return _around(self.snapshot, workload, self.trail | {path_of(self.workload)})


def message_of(event: Object) -> str:
    """An Event's text: core/v1 says `message`, events.k8s.io/v1 says `note`."""
    return str(event.get("message") or event.get("note") or "")


def look(snapshot: Snapshot) -> View:
    target = _target(snapshot)
    return View(snapshot) if target is None else _around(snapshot, target, frozenset())


def _stands_for(snapshot: Snapshot, obj: Object) -> Object:
    """The workload that an autoscaler scales or whose pods a Service or disruption budget selects; else the object."""
    kind, namespace = obj.get("kind"), namespace_of(obj)
    if kind == "HorizontalPodAutoscaler":
        ref = dig(obj, "spec", "scaleTargetRef", default={})
        return snapshot.find(str(ref.get("kind")), str(ref.get("name")), namespace) or obj
    path = {"Service": ("selector",), "PodDisruptionBudget": ("selector", "matchLabels")}.get(str(kind))
    wanted = dig(obj, "spec", *path, default={}) if path else {}
    pods = [
        p
        for p in snapshot.of_kind("Pod")
        if wanted and namespace_of(p) == namespace and wanted.items() <= labels_of(p).items()
    ]
    owners = {path_of(o): o for p in pods for o in [top_owner(snapshot, p)]}
    return next(iter(owners.values())) if len(owners) == 1 else obj


def _target(snapshot: Snapshot) -> Object | None:
    """The target as it is now. A namesake with another uid is another object: nothing is known about it."""
    obj = snapshot.target_object
    ref: ObjectRef | None = snapshot.target
    if obj is not None and ref is not None and ref.uid and dig(obj, "metadata", "uid", default=ref.uid) != ref.uid:
        return None
    return obj


@dataclass(frozen=True, slots=True)
class Indexed(Snapshot):
    """A snapshot whose kinds are sorted out once, and whose owners are climbed to once: every fact asks for them."""

    kinds: Mapping[str, list[Object]] = field(default_factory=dict)
    uids: Mapping[str, Object] = field(default_factory=dict)
    tops: dict[int, Object] = field(default_factory=dict, compare=False)  # by id() of objects that this snapshot holds

    def of_kind(self, kind: str) -> list[Object]:
        return self.kinds.get(kind, [])


def indexed(snapshot: Snapshot, objects: Sequence[Object], series: Sequence[Series]) -> Indexed:
    """The snapshot with these objects and series in place of its own."""
    kinds: dict[str, list[Object]] = {}
    for obj in objects:
        kinds.setdefault(str(obj.get("kind", "")), []).append(obj)
    uids = {str(uid): o for o in reversed(objects) if (uid := dig(o, "metadata", "uid"))}
    parts = {f.name: getattr(snapshot, f.name) for f in fields(Snapshot)}
    return Indexed(**{**parts, "objects": objects, "series": series}, kinds=kinds, uids=uids)


def top_owner(snapshot: Snapshot, obj: Object) -> Object:
    """Up the controller references as far as the snapshot goes: Pod, ReplicaSet, Deployment; Job, CronJob."""
    if not isinstance(snapshot, Indexed):
        return _climbed(snapshot, obj)
    top = snapshot.tops.get(id(obj))
    if top is None:
        top = snapshot.tops[id(obj)] = _climbed(snapshot, obj)
    return top


def _climbed(snapshot: Snapshot, obj: Object) -> Object:
    for _ in range(5):
        ref = controller_of(obj)
        if ref is None:
            return obj
        kind = str(ref.get("kind"))
        above = snapshot.uids.get(str(ref.get("uid"))) if isinstance(snapshot, Indexed) else None
        if above is None or above.get("kind") != kind:
            above = next((o for o in snapshot.of_kind(kind) if owned_by(obj, o)), None)
        if above is None:
            return obj
        obj = above
    return obj


def _around(snapshot: Snapshot, target: Object, trail: frozenset[str]) -> View:
    workload = top_owner(snapshot, _stands_for(snapshot, target))
    if workload.get("kind") not in WORKLOADS:
        return View(snapshot, target, None, trail=trail)
    view = View(snapshot, target, workload, trail=trail)
    if workload.get("kind") == "Deployment":
        return _deployment(view)
    pods = _live([p for p in snapshot.of_kind("Pod") if p is workload or top_owner(snapshot, p) is workload])
    return replace(view, pods=pods, current_pods=_on_update(workload, pods), old_pods=_not_on_update(workload, pods))


def _deployment(view: View) -> View:
    snapshot, workload = view.snapshot, view.workload
    if workload is None:
        return view
    sets = [r for r in snapshot.of_kind("ReplicaSet") if owned_by(r, workload)]
    current = current_set(workload, sets)
    older = sorted(
        (r for r in sets if r is not current),
        reverse=True,
        key=lambda r: (revision_of(r) or -1, str(dig(r, "metadata", "creationTimestamp", default=""))),
    )
    pods = _live([p for p in snapshot.of_kind("Pod") if top_owner(snapshot, p) is workload])
    mine = [] if current is None else [p for p in pods if owned_by(p, current)]
    old = [p for p in pods if any(owned_by(p, r) for r in older)] if current is not None else []
    return replace(view, current=current, older=older, pods=pods, current_pods=mine, old_pods=old)


def current_set(workload: Object, sets: Sequence[Object]) -> Object | None:
    """The ReplicaSet of the newest template: by revision, else by the template itself; None where neither tells."""
    revision = revision_of(workload)
    if revision is not None:
        same = [r for r in sets if revision_of(r) == revision]
        if len(same) == 1:
            return same[0]
    wanted = plain_template(workload)
    same = [r for r in sets if wanted and plain_template(r) == wanted]
    if not same and wanted:
        inner = dig(wanted, "spec", "containers")
        same = [r for r in sets if inner and dig(r, "spec", "template", "spec", "containers") == inner]
    if len(same) == 1:
        return same[0]
    if revision is None and sets and all(revision_of(r) is not None for r in sets):
        return max(sets, key=lambda r: revision_of(r) or 0)
    return None


def plain_template(obj: Object | None) -> Any:
    """spec.template without the label that the Deployment controller adds to a ReplicaSet's."""
    template = dig(obj, "spec", "template", default={})
    meta = dict(dig(template, "metadata", default={}))
    meta["labels"] = {k: v for k, v in labels_of(template).items() if k != "pod-template-hash"}
    meta.pop("creationTimestamp", None)
    return {"metadata": meta, "spec": template["spec"]} if dig(template, "spec") else None


def _live(pods: Sequence[Object]) -> list[Object]:
    return [
        p
        for p in pods
        if not dig(p, "metadata", "deletionTimestamp") and dig(p, "status", "phase", default="") != "Succeeded"
    ]


def _hash(pod: Object) -> str | None:
    return labels_of(pod).get("controller-revision-hash")


def _on_update(workload: Object, pods: Sequence[Object]) -> list[Object]:
    update = dig(workload, "status", "updateRevision")
    return list(pods) if update is None else [p for p in pods if _hash(p) in (None, update)]


def _not_on_update(workload: Object, pods: Sequence[Object]) -> list[Object]:
    update = dig(workload, "status", "updateRevision")
    return [] if update is None else [p for p in pods if _hash(p) not in (None, update)]
