"""Protocols where two implementations exist: live and frozen, real and for tests."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from akeso.model.evidence import Facts, Series, Snapshot
from akeso.model.objects import Kind, Object, ObjectRef
from akeso.model.verdict import Verdict


class ClusterReader(Protocol):
    """Reads of the cluster. Live: `kube.cluster.Cluster` (quorum reads). Frozen: `ingest.frozen.FrozenCluster`."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None where it does not exist. Raises ClusterAway, Forbidden."""
        ...

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None, limit: int = 500,
    ) -> Sequence[Object]:
        """Objects of that kind (apiVersion and kind filled in), in a namespace or in all; equality selectors."""
        ...

    async def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 100,
    ) -> str | None:
        """The tail of a container's log, at most 64 KiB; None where there is none."""
        ...


class MetricReader(Protocol):
    """Plain selectors over standard metric names. Live: Prometheus. Frozen: the series of a scenario."""

    async def select(self, metric: str, labels: Mapping[str, str], *, minutes: int = 60) -> Sequence[Series]:
        """The series that match, with their samples of the last minutes. Raises TryLater."""
        ...


class Ask(Protocol):
    """Somebody who answers a yes/no question about the evidence: the rules, or a model endpoint."""

    async def ask(self, question: str, facts: Facts, snapshot: Snapshot, *, timeout: float) -> Verdict:
        """A verdict, `unsure` where it cannot tell. Raises ModelAway (try the next) or ModelAnswerUnusable."""
        ...


class ClusterWriter(Protocol):
    """Writes, always as somebody: `as_user` is `system:serviceaccount:<namespace>:<name>` and may not be empty."""

    async def patch(
        self, ref: ObjectRef, operations: Sequence[Mapping[str, Any]], *, as_user: str, dry_run: bool = False,
    ) -> Object:
        """JSON Patch. Raises Conflict (a test failed or 409), NotFound, Forbidden, Unprocessable, ClusterAway
        (nothing was sent), OutcomeUnknown (sent, no answer), TooManyRequests."""
        ...

    async def delete(
        self, ref: ObjectRef, *, as_user: str, uid: str, grace_seconds: int | None = None, dry_run: bool = False,
    ) -> None:
        """DELETE with a uid precondition. Errors as patch."""
        ...

    async def evict(self, ref: ObjectRef, *, as_user: str, uid: str, dry_run: bool = False) -> None:
        """POST pods/eviction with a uid precondition. TooManyRequests where a disruption budget says no."""
        ...


class Notifier(Protocol):
    """Tells people outside the cluster."""

    async def notify(self, channel: str, message: str, context: Mapping[str, str], *, key: str) -> None:
        """Send once under an idempotency key. Raises TryLater, GiveUp (no such channel)."""
        ...
