"""Reads and writes of raw objects: the live ports.ClusterReader and ports.ClusterWriter."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from akeso.errors import GiveUp, NotFound, Unprocessable
from akeso.kube import paths
from akeso.kube.client import JSON_PATCH, MERGE_PATCH, impersonation
from akeso.kube.reviews import Reviews
from akeso.model import names
from akeso.model.objects import POD, Kind, Object, ObjectRef, lean

LOG_BYTES = 65_536
"""At most so much of a log is read: enough for a stack trace, bounded for a container that floods."""

OWN_GROUPS = frozenset({names.GROUP, "events.k8s.io"})
"""API groups that the operator writes as itself. Everything else is written as a Workflow's ServiceAccount."""

_WRITE = {"fieldManager": names.FIELD_MANAGER, "fieldValidation": "Strict"}  # a misspelt field is an error, not dropped


class Cluster(Reviews):
    """The API server. Reads carry no resourceVersion, so each is a quorum read."""

    # reads

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None where it does not exist. Raises ClusterAway, Forbidden, TooManyRequests."""
        try:
            return await self.connection.request(
                "GET", paths.item(kind, namespace, name), doing=f"get {kind.plural} {namespace}/{name}")
        except NotFound:
            return None

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None, limit: int = 500,
    ) -> Sequence[Object]:
        """The first `limit` objects of that kind, apiVersion and kind filled in; equality selectors."""
        query: dict[str, str | int | bool] = {"limit": limit}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        if fields:
            query["fieldSelector"] = ",".join(f"{key}={value}" for key, value in fields.items())
        answer = await self.connection.request(
            "GET", paths.collection(kind, namespace), query=query,
            doing=f"list {kind.plural} in {namespace or 'all namespaces'}")
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **lean(item)} for item in answer.get("items") or ()]

    async def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 100,
    ) -> str | None:
        """The tail of a container's log, at most 64 KiB; None where there is none (no pod, not started, no line)."""
        lines = max(1, tail_lines)
        while True:
            query: dict[str, str | int | bool] = {"tailLines": lines, "limitBytes": LOG_BYTES, "previous": previous}
            if container:
                query["container"] = container
            try:
                data = await self.connection.read(
                    "GET", paths.item(POD, namespace, pod, "log"), query=query,
                    doing=f"read the log of {namespace}/{pod}")
            except (NotFound, Unprocessable):
                return None
            # The kubelet cuts limitBytes from the start of the tail; the end is what says why a container died.
            if len(data) < LOG_BYTES or lines == 1:
                return data.decode(errors="replace") or None
            lines = max(1, lines // 4)

    # writes as a Workflow's ServiceAccount

    async def patch(
        self, ref: ObjectRef, operations: Sequence[Mapping[str, Any]], *, as_user: str, dry_run: bool = False,
    ) -> Object:
        """JSON Patch. Errors as in ports.ClusterWriter; GiveUp before anything is sent where `as_user` is unusable."""
        impersonation(as_user)
        return await self.connection.request(
            "PATCH", paths.of(ref), query=_WRITE | _dry(dry_run), body=[dict(o) for o in operations],
            content_type=JSON_PATCH, as_user=as_user, mutating=not dry_run, doing=_doing("patch", ref, dry_run))

    async def delete(
        self, ref: ObjectRef, *, as_user: str, uid: str, grace_seconds: int | None = None, dry_run: bool = False,
    ) -> None:
        """DELETE with a uid precondition. Dependents go too, as with kubectl (the API would orphan a Job's pods)."""
        impersonation(as_user)
        options = {**_precondition(uid), "propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if dry_run:
            options["dryRun"] = ["All"]  # the body counts; the query is for the audit log, which shows no bodies
        await self.connection.request(
            "DELETE", paths.of(ref), query=_dry(dry_run), body=options, as_user=as_user, mutating=not dry_run,
            doing=_doing("delete", ref, dry_run))

    async def evict(self, ref: ObjectRef, *, as_user: str, uid: str, dry_run: bool = False) -> None:
        """POST pods/eviction with a uid precondition. Compare the uid before: a wrong one burns the budget (A.3)."""
        impersonation(as_user)
        body = {
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": ref.name, "namespace": ref.namespace},
            "deleteOptions": _precondition(uid),
        }
        await self.connection.request(
            "POST", paths.of(ref, "eviction"), query=_dry(dry_run), body=body, as_user=as_user, mutating=not dry_run,
            doing=_doing("evict", ref, dry_run))

    # writes of the operator's own objects

    async def create(self, kind: Kind, namespace: str, body: Mapping[str, Any], *, as_user: str = "") -> Object:
        """POST. Without `as_user` only kinds of OWN_GROUPS. Raises Conflict where the name is taken."""
        path = paths.collection(kind, namespace)
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return await self.connection.request(
            "POST", path, query=_WRITE, body=whole, as_user=_identity(kind, as_user),
            doing=f"create {kind.plural} {namespace}/{(body.get('metadata') or {}).get('name', '')}")

    async def merge(self, ref: ObjectRef, body: Mapping[str, Any], *, as_user: str = "") -> Object:
        """Merge patch of an own object; put metadata.resourceVersion into `body` to make it conditional."""
        return await self.connection.request(
            "PATCH", paths.of(ref), query=_WRITE, body=dict(body), content_type=MERGE_PATCH,
            as_user=_identity(ref.kind, as_user), doing=_doing("patch", ref))

    async def patch_status(self, kind: Kind, ref: ObjectRef, status_body: Mapping[str, Any]) -> Object:
        """Merge patch of /status of an own object: absent keys stay, None removes a key, lists are replaced."""
        return lean(await self.connection.request(
            "PATCH", paths.item(kind, ref.namespace, ref.name, "status"), query=_WRITE,
            body={"status": dict(status_body)}, content_type=MERGE_PATCH, as_user=_identity(kind, ""),
            doing=_doing("patch the status of", ref)))

    async def remove(self, ref: ObjectRef) -> None:
        """DELETE of an own object, such as an expired WorkflowRun. An absent one is fine."""
        try:
            await self.connection.request(
                "DELETE", paths.of(ref), body=_precondition(ref.uid) if ref.uid else {},
                as_user=_identity(ref.kind, ""), doing=_doing("delete", ref))
        except NotFound:
            return

    async def server_version(self) -> str:
        """Such as `v1.36.3`. Raises ClusterAway."""
        answer = await self.connection.request("GET", "/version", doing="ask for the version")
        return str(answer.get("gitVersion", ""))


def _identity(kind: Kind, as_user: str) -> str | None:
    if as_user:
        return as_user
    if kind.group in OWN_GROUPS:
        return None
    raise GiveUp(
        f"Refused to write {kind.plural} as the operator itself", why="only akeso.dev objects and Events are its own",
        next_step="name the ServiceAccount to write as",
    )


def _precondition(uid: str) -> dict[str, Any]:
    if not uid:
        raise GiveUp("Refused to remove an object without knowing its uid")
    return {"preconditions": {"uid": uid}}


def _dry(dry_run: bool) -> dict[str, str | int | bool]:
    return {"dryRun": "All"} if dry_run else {}


def _doing(verb: str, ref: ObjectRef, dry_run: bool = False) -> str:
    where = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    return f"{'dry-run ' if dry_run else ''}{verb} {ref.kind.plural} {where}"


