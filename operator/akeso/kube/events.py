"""Kubernetes Events (events.k8s.io/v1): what `kubectl describe` shows on the run and on the healed object."""
from __future__ import annotations

import hashlib
import uuid
from typing import Literal

from akeso.clock import Clock
from akeso.errors import AkesoError, ClusterAway, Conflict, Forbidden
from akeso.kube.cluster import Cluster
from akeso.model import names
from akeso.model.objects import Kind, ObjectRef

EVENTS = Kind("events.k8s.io", "v1", "Event", "events")
MAX_NOTE = 1024
"""The API's limit for `note`."""


class Recorder:
    """Posts Events as the operator."""

    def __init__(self, cluster: Cluster, clock: Clock, instance: str) -> None:
        """`instance` tells replicas apart: the pod's name."""
        self._cluster = cluster
        self._clock = clock
        self._instance = instance[:128] or names.FIELD_MANAGER

    async def post(
        self, regarding: ObjectRef, reason: str, note: str, *, action: str, related: ObjectRef | None = None,
        kind: Literal["Normal", "Warning"] = "Normal", key: str = "",
    ) -> None:
        """One Event on `regarding` (with its uid, else `kubectl describe` does not show it).

        key     where given, the name derives from it and a replay makes no second Event
        Raises only ClusterAway (try later) and Forbidden; the caller logs them and goes on.
        """
        body = {
            "metadata": {"name": _name(regarding, reason, key), "namespace": regarding.namespace or "default"},
            "eventTime": self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": kind, "reason": reason[:128], "action": action[:128] or reason[:128], "note": _cut(note),
            "reportingController": names.REPORTING_CONTROLLER, "reportingInstance": self._instance,
            "regarding": _reference(regarding),
        }
        if related is not None:
            body["related"] = _reference(related)
        try:
            await self._cluster.create(EVENTS, regarding.namespace or "default", body)
        except Conflict:
            return  # this key was posted before
        except (ClusterAway, Forbidden):
            raise
        except AkesoError as error:  # outcome unknown, or the namespace is going away
            raise ClusterAway(f"Cannot post an Event on {regarding}", why=error.why or error.what) from error


def _name(regarding: ObjectRef, reason: str, key: str) -> str:
    """`<object>.<16 hex digits>`, as client-go names them; at most 253 characters."""
    seed = f"{regarding.key}/{regarding.uid}/{reason}/{key}" if key else uuid.uuid4().hex
    return f"{regarding.name[:200].rstrip('.-')}.{hashlib.sha256(seed.encode()).hexdigest()[:16]}"


def _reference(ref: ObjectRef) -> dict[str, str]:
    return {
        "apiVersion": ref.kind.api_version, "kind": ref.kind.kind, "name": ref.name,
        **({"namespace": ref.namespace} if ref.namespace else {}), **({"uid": ref.uid} if ref.uid else {}),
    }


def _cut(note: str) -> str:
    data = note.encode()
    return note if len(data) <= MAX_NOTE else data[: MAX_NOTE - 3].decode(errors="ignore") + "…"
