"""What the engine works with. Built in `wiring`, faked in tests; the engine itself builds nothing."""
from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from akeso.clock import Clock
from akeso.ports import MetricReader, Notifier
from akeso.settings import Settings

if TYPE_CHECKING:
    from akeso.act.breakers import Breakers
    from akeso.act.perform import Performer
    from akeso.act.registry import Registry
    from akeso.decide.cel import Conditions
    from akeso.engine.models import Models
    from akeso.ingest.definitions import Definitions
    from akeso.kube.cluster import Cluster
    from akeso.kube.events import Recorder
    from akeso.record.history import History
    from akeso.record.metrics import Metrics
    from akeso.record.store import Store


class Projector(Protocol):
    """Shows runs in the Kubernetes API; see `engine.projection`."""

    def mark(self, run_id: str) -> None: ...

    async def ensure(self, run_id: str) -> str:
        """Make sure that the WorkflowRun exists; returns its uid."""
        ...


@dataclass(slots=True)
class Services:
    settings: Settings
    clock: Clock
    store: Store
    history: History
    cluster: Cluster
    recorder: Recorder
    definitions: Definitions
    registry: Registry
    breakers: Breakers
    performer: Performer
    conditions: Conditions
    models: Models
    notifier: Notifier
    projector: Projector
    log: Any
    metrics: Metrics
    series: MetricReader | None = None

    def guard(self, name: str) -> AbstractAsyncContextManager[None]:
        return self.breakers.guard(name)
