"""An API server in memory: `kube.cluster.Cluster` as it is, over a connection that keeps objects in a dict.

What an engine relies on is there: JSON Patch with tests, uid preconditions, generations, resourceVersions, dry runs,
status subresources, impersonation. What it does not know: schemas, defaulting, controllers. tests/integration/testing
runs the same cases over it and over a real API server.
"""
from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import orjson

from akeso.clock import Clock, format_time, system_clock
from akeso.errors import AkesoError, Conflict, Forbidden, NotFound, TooManyRequests
from akeso.kube.client import JSON_PATCH, Connection, impersonation
from akeso.kube.cluster import Cluster
from akeso.model.names import GROUP
from akeso.model.objects import Object, dig
from akeso.testing.json_patch import apply

Key = tuple[str, str, str, str]  # group, plural, namespace, name
May = Callable[[str, str, str, str, str], bool]
"""(user, verb, group, resource with subresource, namespace) → allowed."""

_PLURALS = {
    "Pod": "pods", "Node": "nodes", "Namespace": "namespaces", "Secret": "secrets", "Service": "services",
    "Event": "events", "Deployment": "deployments", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets", "Job": "jobs", "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "PodDisruptionBudget": "poddisruptionbudgets", "ServiceAccount": "serviceaccounts",
    "Workflow": "akesoworkflows", "ClusterWorkflow": "clusterworkflows", "WorkflowRun": "workflowruns",
    "Agent": "akesoagents", "ModelEndpoint": "modelendpoints", "Approval": "approvals",
}
_CLUSTER_SCOPED = ("nodes", "namespaces", "clusterworkflows", "customresourcedefinitions",
                   "validatingadmissionpolicies", "storageclasses")


@dataclass(slots=True)
class Fault:
    """The next `times` requests of that verb on that resource fail; with `after`, once they were carried out."""

    verb: str       # get, list, patch, delete, evict, create
    plural: str     # empty: any
    error: Exception
    after: bool
    times: int
    dry_run: bool | None


@dataclass(frozen=True, slots=True)
class Write:
    """A write that changed something (or a removal), as the fake carried it out."""

    verb: str
    plural: str
    namespace: str
    name: str
    user: str
    body: Any


class FakeServer:
    """The part of `kube.client.Connection` that Cluster uses."""

    host = "memory"
    namespace = ""  # of the kubeconfig's context

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.objects: dict[Key, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.writes: list[Write] = []
        self.may: May = lambda *_: True
        self.budget: dict[tuple[str, str], int] = {}  # (namespace, pod) → evictions that a disruption budget allows
        self.before_write: Callable[[str, Key], None] | None = None
        self._version = 1000

    async def request(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None,
        content_type: str = "application/json", as_user: str | None = None, doing: str = "", **_: Any,
    ) -> dict[str, Any]:
        user = impersonation(as_user)["Impersonate-User"] if as_user is not None else ""
        where = _parse(path)
        verb = _verb(method, where)
        body = orjson.loads(orjson.dumps(body)) if body is not None else None
        dry = bool((query or {}).get("dryRun") or (isinstance(body, dict) and body.get("dryRun")))
        if self.before_write is not None and method != "GET" and not dry:
            self.before_write(verb, where.key)
        fault = self._fault(verb, where.key[1], dry)
        if fault is not None and not fault.after:
            raise fault.error
        if user:
            self._authorize(user, verb, where)
        answer = self._answer(method, where, query or {}, body, content_type, user, doing or path, dry=dry)
        if fault is not None:
            raise fault.error
        return deepcopy(answer)

    async def read(self, method: str, path: str, **_: Any) -> bytes:
        where = _parse(path)
        return self.logs.get(f"{where.key[2]}/{where.key[3]}", "").encode()

    def _fault(self, verb: str, plural: str, dry: bool) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.verb == verb and fault.plural in ("", plural) and fault.dry_run in (None, dry):
                fault.times -= 1
                return fault
        return None

    def _authorize(self, user: str, verb: str, where: _Path) -> None:
        group, plural, namespace, _ = where.key
        resource = f"{plural}/{where.subresource}" if where.subresource else plural
        asked = "create" if verb == "evict" else verb
        if not self.may(user, asked, group, resource, namespace):
            raise Forbidden(f"Cannot {asked} {resource} {namespace}", why=f'User "{user}" cannot {asked} {resource}')

    def _answer(
        self, method: str, where: _Path, query: Mapping[str, Any], body: Any, content_type: str, user: str,
        doing: str, *, dry: bool,
    ) -> dict[str, Any]:
        if where.key[1].endswith("reviews"):
            return {"status": self._review(where.key[1], body["spec"])}
        if where.key[1] == "version":
            return {"gitVersion": "v1.36.3"}
        if method == "GET":
            return self._list(where, query) if not where.key[3] else self._existing(where.key, doing)
        if method == "POST" and where.subresource == "eviction":
            return self._remove("evict", where.key, body.get("deleteOptions"), user, doing, dry=dry)
        if method == "POST":
            return self._create(where, body, user, doing)
        if method == "DELETE":
            return self._remove("delete", where.key, body, user, doing, dry=dry)
        return self._patch(where, body, content_type, user, doing, dry=dry)

    def _existing(self, key: Key, doing: str) -> dict[str, Any]:
        if key not in self.objects:
            raise NotFound(f"Cannot {doing}", why=f'{key[1]} "{key[3]}" not found')
        return self.objects[key]

    def _list(self, where: _Path, query: Mapping[str, Any]) -> dict[str, Any]:
        group, plural, namespace, _ = where.key
        labels, fields = (_selector(str(query.get(s, ""))) for s in ("labelSelector", "fieldSelector"))
        found = [
            o for key, o in sorted(self.objects.items()) if key[:2] == (group, plural) and namespace in ("", key[2])
            and all(dig(o, "metadata", "labels", k) == v for k, v in labels.items())
            and all(str(dig(o, *k.split("."), default="")) == v for k, v in fields.items())]
        return {"items": found[:int(query.get("limit", 500))]}

    def _create(self, where: _Path, body: dict[str, Any], user: str, doing: str) -> dict[str, Any]:
        group, plural, namespace, _ = where.key
        meta = body.setdefault("metadata", {})
        key = (group, plural, namespace, str(meta.get("name", "")))
        if namespace and ("", "namespaces", "", namespace) not in self.objects:
            raise NotFound(f"Cannot {doing}", why=f'namespaces "{namespace}" not found')
        if key in self.objects:
            raise Conflict(f"Cannot {doing}", why=f'{plural} "{key[3]}" already exists')
        if group == GROUP:
            body.pop("status", None)
        meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": format_time(self.clock()), "generation": 1}
        if namespace:
            meta["namespace"] = namespace
        self._store(key, body)
        self.writes.append(Write("create", plural, namespace, key[3], user, body))
        return self.objects[key]

    def _patch(
        self, where: _Path, body: Any, content_type: str, user: str, doing: str, *, dry: bool,
    ) -> dict[str, Any]:
        old = self._existing(where.key, doing)
        if content_type == JSON_PATCH:
            try:
                new = apply(old, body)
            except ValueError as error:
                raise Conflict(f"Cannot {doing}", why=str(error)) from error
        else:
            wanted = dig(body, "metadata", "resourceVersion")
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                raise Conflict(f"Cannot {doing}", why="the object has been modified")
            new = _merged(old, {"status": body.get("status")} if where.subresource == "status" else body)
        if where.key[0] == GROUP and where.subresource != "status":
            new = {**new, "status": old["status"]} if "status" in old else {k: new[k] for k in new if k != "status"}
        if new == old:
            return old
        _count(where.key[1], old, new)
        if dry:
            return new
        self._store(where.key, new)
        self.writes.append(Write("patch", where.key[1] + (f"/{where.subresource}" if where.subresource else ""),
                                 where.key[2], where.key[3], user, body))
        return new

    def _remove(
        self, verb: str, key: Key, options: Any, user: str, doing: str, *, dry: bool,
    ) -> dict[str, Any]:
        uid = dig(options, "preconditions", "uid", default="")
        found = self._existing(key, doing)
        if verb == "evict" and self.budget.get(key[2:], 1) <= 0:
            raise TooManyRequests(f"Cannot {doing} now", why="it would violate the pod's disruption budget", after=10)
        if uid and uid != found["metadata"]["uid"]:
            raise Conflict(f"Cannot {doing}", why="the UID in the precondition does not match")
        if not dry:
            del self.objects[key]
            self.writes.append(Write(verb, key[1], key[2], key[3], user, options))
        return {"status": "Success"}

    def _store(self, key: Key, obj: dict[str, Any]) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.objects[key] = obj

    def _review(self, plural: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        if plural == "selfsubjectreviews":
            return {"userInfo": {"username": "ada"}}
        asked = spec["resourceAttributes"]
        resource = asked["resource"] + (f"/{asked['subresource']}" if asked["subresource"] else "")
        return {"allowed": self.may(str(spec.get("user", "")), asked["verb"], asked["group"], resource,
                                    asked["namespace"])}


class FakeCluster(Cluster):
    """A whole cluster. `server` is what tests look into and break."""

    def __init__(self, objects: Iterable[Object] = (), *, clock: Clock = system_clock) -> None:
        self.server = FakeServer(clock)
        super().__init__(cast(Connection, self.server))
        for obj in objects:
            self.put(obj)

    def put(self, obj: Object) -> None:
        """Add or replace a whole object, as it is; the namespace need not exist."""
        copy = deepcopy(dict(obj))
        self.server._store(_key(copy), copy)

    def drop(self, obj: Object) -> None:
        del self.server.objects[_key(obj)]

    def find(self, plural: str, namespace: str, name: str) -> dict[str, Any]:
        """The stored object itself, to look at or to change behind everybody's back. Raises KeyError."""
        return next(o for k, o in self.server.objects.items() if k[1:] == (plural, namespace, name))

    def change(self, plural: str, namespace: str, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Somebody else changes an object: its generation moves where its spec did."""
        obj = self.find(plural, namespace, name)
        before = deepcopy(obj)
        change(obj)
        _count(plural, before, obj)
        self.server._store(_key(obj), obj)

    def fail(
        self, verb: str, error: AkesoError | Exception, *, plural: str = "", after: bool = False, times: int = 1,
        dry_run: bool | None = None,
    ) -> None:
        """The next `times` such requests raise; `after`: they are carried out first, only the answer is lost."""
        self.server.faults.append(Fault(verb, plural, error, after, times, dry_run))

    def written(self, *plurals: str) -> list[Write]:
        """The writes so far, of these resources; of every one made as a ServiceAccount where none is named."""
        return [w for w in self.server.writes if (w.plural in plurals if plurals else w.user)]


@dataclass(frozen=True, slots=True)
class _Path:
    key: Key
    subresource: str = ""


def _parse(path: str) -> _Path:
    """`/apis/apps/v1/namespaces/shop/deployments/web/status` → key and subresource."""
    parts = path.strip("/").split("/")
    group, rest = (parts[1], parts[3:]) if parts[0] == "apis" else ("", parts[2:])
    if parts == ["version"]:
        return _Path(("", "version", "", ""))
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    return _Path((group, plural, namespace, name), subresource)


def _verb(method: str, where: _Path) -> str:
    if method == "GET":
        return "get" if where.key[3] else "list"
    if method == "POST":
        return "evict" if where.subresource == "eviction" else "create"
    return {"PATCH": "patch", "DELETE": "delete"}[method]


def _key(obj: Object) -> Key:
    group = str(obj["apiVersion"]).rpartition("/")[0]
    plural = _PLURALS.get(obj["kind"], f"{str(obj['kind']).lower()}s")
    meta = obj["metadata"]
    return group, plural, "" if plural in _CLUSTER_SCOPED else meta.get("namespace", ""), meta["name"]


def _count(plural: str, old: Object, new: dict[str, Any]) -> None:
    """Move the generation where the API server does: with the spec, and for Deployments with the annotations too."""
    annotated = plural == "deployments" and dig(old, "metadata", "annotations") != dig(new, "metadata", "annotations")
    if "generation" in old["metadata"] and (annotated or new.get("spec") != old.get("spec")):
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1


def _selector(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split(",") if pair)


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(deepcopy(old)) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result
