"""Evidence of one target, gathered once: bounded, at the same time, and honest about what could not be read.

Two round trips: the lists of the namespace; then what needs the pods to be known (nodes, logs, metrics, and whatever a
failing workload may fail for).
"""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from akeso.errors import AkesoError, ClusterAway
from akeso.ingest import neighbours
from akeso.ingest.around import (
    TEMPLATED,
    claims,
    concerns,
    event_time,
    failing,
    newest_first,
    owned,
    pod_labels,
    revision,
    selector_of,
    selects,
    unschedulable,
    unwell,
    worst_first,
)
from akeso.ingest.series import MINUTES, Wanted, wanted_series
from akeso.ingest.targets import Resolution, real_labels
from akeso.model.alert import Alert
from akeso.model.evidence import PastAction, Series, Snapshot
from akeso.model.objects import (
    CRONJOB,
    ENDPOINTSLICE,
    EVENT,
    HPA,
    JOB,
    LEASE,
    LIMITRANGE,
    NAMESPACE,
    NODE,
    PDB,
    POD,
    PVC,
    REPLICASET,
    RESOURCEQUOTA,
    SERVICE,
    STORAGECLASS,
    Kind,
    Object,
    ObjectRef,
    dig,
    ref_of,
)
from akeso.ports import ClusterReader, MetricReader

T = TypeVar("T")
LISTED: Final = 500      # objects asked for in one list
PODS: Final = 100        # pods kept
REPLICASETS: Final = 20  # newest revisions kept
NODES: Final = 20        # nodes of the pods; all, up to LISTED, where a pod finds no node or the target is one
JOBS: Final = 20         # newest Jobs of a CronJob kept
LEASES: Final = "kube-node-lease"
EVENTS: Final = 200      # newest kept
LOGGED: Final = 4        # failing containers whose logs are read
LOG_LINES: Final = 100
QUERIES: Final = 8       # metric queries at once: Prometheus' default allows 20 for everybody


async def gather(
    alerts: Sequence[Alert], resolution: Resolution, reader: ClusterReader, metrics: MetricReader | None,
    history: Sequence[PastAction], now: datetime, *, deadline_seconds: float = 5,
) -> Snapshot:
    """Everything that a decision about the target may look at.

    What could not be read is in `missing`, with why. Raises ClusterAway only where the target itself cannot be read.
    `objects` begin with the chain: the alert's own object, then its owners.
    """
    work = _Gathering(reader, metrics, deadline_seconds)
    if resolution.target is None:
        missing = {"target": resolution.message}
        return Snapshot(now, tuple(alerts), history=tuple(history), missing=missing)
    chain = list(resolution.objects) or await work.read_again(resolution.chain)
    work.keep(chain)
    target = next(o for o in chain if _is(o, resolution.target))
    await work.look_around(target, resolution.target, chain, alerts[0])
    return Snapshot(
        now=now, alerts=tuple(alerts), target=resolution.target, objects=tuple(work.objects.values()),
        events=tuple(sorted(work.events, key=event_time)[-EVENTS:]), logs=work.logs, series=tuple(work.series),
        history=tuple(history), missing=work.missing,
    )


class _Gathering:
    """One gathering: what was found, what is missing, and the time at which it ends."""

    def __init__(self, reader: ClusterReader, metrics: MetricReader | None, seconds: float) -> None:
        self.reader = reader
        self.metrics = metrics
        self.ends = asyncio.get_running_loop().time() + seconds
        self.queries = asyncio.Semaphore(QUERIES)
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.events: list[Object] = []
        self.logs: dict[str, str] = {}
        self.series: list[Series] = []
        self.missing: dict[str, str] = {}

    async def attempt(self, name: str, reading: Awaitable[T], otherwise: T) -> T:
        """The result, or `otherwise` and a line in `missing`: one failing part never costs the others."""
        try:
            async with asyncio.timeout_at(self.ends):
                return await reading
        except TimeoutError:
            self.missing[name] = "no answer within the deadline"
        except (AkesoError, OSError) as error:
            self.missing[name] = str(error)[:500]
        return otherwise

    def keep(self, objects: Iterable[Object]) -> None:
        for obj in objects:
            meta = obj.get("metadata") or {}
            self.objects.setdefault((str(obj.get("kind")), meta.get("namespace", ""), meta.get("name", "")), obj)

    async def read_again(self, chain: Sequence[ObjectRef]) -> list[Object]:
        """The chain from the cluster. Raises ClusterAway where any of it cannot be read."""
        try:
            async with asyncio.timeout_at(self.ends):
                found = await asyncio.gather(*(self.reader.get(r.kind, r.namespace, r.name) for r in chain))
        except TimeoutError as error:
            raise ClusterAway("The target could not be read in time") from error
        if None in found:
            raise ClusterAway("The target vanished while its evidence was gathered", next_step="it is resolved again")
        return [obj for obj in found if obj is not None]

    async def listed(
        self, kind: Kind, namespace: str, *, labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None, limit: int = LISTED,
    ) -> Sequence[Object]:
        """A list; where it was cut off, `missing` says so."""
        reading = self.reader.list(kind, namespace, labels=labels, fields=fields, limit=limit)
        found = await self.attempt(kind.plural, reading, ())
        if len(found) >= limit:
            self.missing.setdefault(kind.plural, f"only the first {limit} were read")
        return found

    async def look_around(self, target: Object, ref: ObjectRef, chain: Sequence[Object], alert: Alert) -> None:
        """Fill objects, events, logs and series."""
        async with asyncio.TaskGroup() as tasks:
            pods_task = tasks.create_task(self.pods(target, ref, chain, alert))
            sets_task = tasks.create_task(self.replica_sets(target, ref))
            tasks.create_task(self.jobs(chain))
            claims_task = tasks.create_task(self.claimed(target, ref, pods_task))
            scalers_task = tasks.create_task(self.autoscalers(target, ref))
            if ref.kind.namespaced:
                tasks.create_task(self.namespace(ref.namespace))
                tasks.create_task(self.room(target, ref))
                services_task = tasks.create_task(self.guards(target, ref))
                tasks.create_task(self.neighbours(target, ref, pods_task, services_task, sets_task))
            tasks.create_task(self.nodes(ref, pods_task))
            tasks.create_task(self.tails(pods_task))
            tasks.create_task(self.measure(target, alert, pods_task, claims_task, scalers_task))
            events_task = tasks.create_task(self.happened(ref))
        alerted = {"kind": POD.kind, "metadata": {"name": real_labels(alert.labels).get("pod", "")}}
        about = [*self.objects.values(), alerted]  # a pod that is gone has left its events behind
        self.events = [event for event in events_task.result() if concerns(event, about)]

    async def pods(self, target: Object, ref: ObjectRef, chain: Sequence[Object], alert: Alert) -> list[Object]:
        own = [o for o in chain if o.get("kind") == POD.kind]
        found: Sequence[Object] = ()
        selector = selector_of(target)
        if ref.kind == NODE:
            found = await self.listed(POD, "", fields={"spec.nodeName": ref.name})
        elif ref.kind == PVC:
            found = [p for p in await self.listed(POD, ref.namespace) if ref.name in claims([p])]
        elif selector:
            found = await self.listed(POD, ref.namespace, labels=selector)
        unique = {(dig(p, "metadata", "namespace"), dig(p, "metadata", "name")): p for p in [*found, *own]}
        ordered = worst_first(list(unique.values()), real_labels(alert.labels).get("pod", ""))
        if len(ordered) > PODS:
            self.missing[POD.plural] = f"only {PODS} of {len(ordered)} were kept, the worst first"
        self.keep(ordered[:PODS])
        return ordered[:PODS]

    async def replica_sets(self, target: Object, ref: ObjectRef) -> list[Object]:
        if target.get("kind") != "Deployment":
            return []
        listed = await self.listed(REPLICASET, ref.namespace, labels=selector_of(target))
        found = sorted(owned(listed, ref), key=revision, reverse=True)[:REPLICASETS]
        self.keep(found)
        return found

    async def jobs(self, chain: Sequence[Object]) -> None:
        """The Jobs of the CronJob behind the alert: whether they fail one after another."""
        for cron in (o for o in chain if o.get("kind") == CRONJOB.kind):
            ref = ref_of(cron, CRONJOB)
            self.keep(newest_first(owned(await self.listed(JOB, ref.namespace), ref))[:JOBS])

    async def room(self, target: Object, ref: ObjectRef) -> None:
        """What bounds the pods of the namespace: a higher limit, or more replicas, must fit into it."""
        if target.get("kind") in TEMPLATED:
            for found in await asyncio.gather(*(self.listed(k, ref.namespace) for k in (LIMITRANGE, RESOURCEQUOTA))):
                self.keep(found)

    async def neighbours(
        self, target: Object, ref: ObjectRef, pods: asyncio.Task[list[Object]],
        services: asyncio.Task[Sequence[Object]], sets: asyncio.Task[list[Object]],
    ) -> None:
        """Where it fails: what it may fail for, and who fails too."""
        if target.get("kind") not in (*TEMPLATED, POD.kind, SERVICE.kind):
            return
        mine, known, made = await asyncio.gather(pods, services, sets)
        refused = neighbours.refusals([target, *made])
        if not mine or refused or ref.kind == SERVICE or any(unwell(p) for p in mine):
            self.keep(await neighbours.around(target, ref.namespace, mine, known, refused, self._listed_around))

    async def _listed_around(self, kind: Kind, namespace: str, *, limit: int) -> Sequence[Object]:
        reading = self.reader.list(kind, namespace, limit=limit)
        return await self.attempt(f"{kind.plural} around it in {namespace}", reading, ())

    async def namespace(self, name: str) -> None:
        found = await self.attempt("namespace", self.reader.get(NAMESPACE, "", name), None)
        self.keep([found] if found is not None else [])

    async def claimed(self, target: Object, ref: ObjectRef, pods: asyncio.Task[list[Object]]) -> list[Object]:
        """The claims that the target's pods mount."""
        if ref.kind == NODE:
            return []
        if ref.kind == PVC:
            self.keep(await self.listed(STORAGECLASS, ""))
            return [target]
        templated = claims([dig(target, "spec", "template", default={})])
        if not templated and not dig(target, "spec", "volumeClaimTemplates") and ref.kind != POD:
            return []
        listed, classes, mounting = await asyncio.gather(
            self.listed(PVC, ref.namespace), self.listed(STORAGECLASS, ""), pods)
        names = claims(mounting) | templated
        found = [c for c in listed if dig(c, "metadata", "name") in names]
        self.keep(found)
        self.keep(classes if found else ())
        return found

    async def autoscalers(self, target: Object, ref: ObjectRef) -> list[Object]:
        if not pod_labels(target) or ref.kind == POD:
            return []
        listed = await self.listed(HPA, ref.namespace)
        wanted = (ref.kind.kind, ref.name)
        scaled = [(dig(h, "spec", "scaleTargetRef", default={}), h) for h in listed]
        found = [h for scaling, h in scaled if (scaling.get("kind"), scaling.get("name")) == wanted]
        self.keep(found)
        return found

    async def guards(self, target: Object, ref: ObjectRef) -> Sequence[Object]:
        """Disruption budgets and Services over the target's pods, with the Services' endpoints. All Services there."""
        carried = pod_labels(target)
        if not carried and ref.kind != SERVICE:
            return ()
        budgets, services, slices = await asyncio.gather(
            *(self.listed(kind, ref.namespace) for kind in (PDB, SERVICE, ENDPOINTSLICE)))
        self.keep(b for b in budgets if selects(selector_of(b), carried))
        chosen = [s for s in services if selects(selector_of(s), carried) or _is(s, ref)]
        self.keep(chosen)
        names = {dig(s, "metadata", "name") for s in chosen}
        self.keep(s for s in slices if dig(s, "metadata", "labels", "kubernetes.io/service-name") in names)
        return services

    async def nodes(self, ref: ObjectRef, pods: asyncio.Task[list[Object]]) -> None:
        if ref.kind == NODE:
            lease = self.attempt("lease", self.reader.get(LEASE, LEASES, ref.name), None)
            found, beat = await asyncio.gather(self.listed(NODE, ""), lease)
            self.keep([*found, *([beat] if beat is not None else [])])
            return
        mine = await pods
        if any(unschedulable(p) for p in mine):  # the scheduler looked at all of them, so must we
            self.keep(await self.listed(NODE, ""))
            return
        names = dict.fromkeys(str(dig(p, "spec", "nodeName", default="")) for p in mine)
        reads = [
            self.attempt(f"Node/{name}", self.reader.get(NODE, "", name), None) for name in list(names)[:NODES] if name
        ]
        self.keep(node for node in await asyncio.gather(*reads) if node is not None)

    async def tails(self, pods: asyncio.Task[list[Object]]) -> None:
        """Logs of the failing containers, the worst pods first, of this run of the container and of the one before."""
        bad = [(pod, name, restarts) for pod in await pods for name, restarts in failing(pod)][:LOGGED]
        reads = [self.tail(pod, name, previous=False) for pod, name, _ in bad]
        reads += [self.tail(pod, name, previous=True) for pod, name, restarts in bad if restarts]
        await asyncio.gather(*reads)

    async def tail(self, pod: Object, container: str, *, previous: bool) -> None:
        namespace, name = dig(pod, "metadata", "namespace", default=""), dig(pod, "metadata", "name", default="")
        key = f"{namespace}/{name}/{container}" + ("/previous" if previous else "")
        reading = self.reader.logs(namespace, name, container, previous=previous, tail_lines=LOG_LINES)
        text = await self.attempt(f"logs {key}", reading, None)
        if text is not None:
            self.logs[key] = text

    async def happened(self, ref: ObjectRef) -> list[Object]:
        """Events of the namespace; where there are too many, those of the target's own name as well."""
        if not ref.kind.namespaced:
            return list(await self.listed(EVENT, "", fields={"involvedObject.name": ref.name}))
        found = list(await self.listed(EVENT, ref.namespace))
        if len(found) >= LISTED:
            found += await self.listed(EVENT, ref.namespace, fields={"involvedObject.name": ref.name})
        return found

    async def measure(
        self, target: Object, alert: Alert, pods: asyncio.Task[list[Object]], claimed: asyncio.Task[list[Object]],
        scalers: asyncio.Task[list[Object]],
    ) -> None:
        if self.metrics is None:
            self.missing["metrics"] = "no Prometheus is configured"
            return
        around = await asyncio.gather(pods, claimed, scalers)
        wanted = wanted_series(target, *around, alert.labels.get("instance", ""))
        found = await asyncio.gather(*(self.query(self.metrics, one) for one in wanted))
        self.series = [series for some in found for series in some]

    async def query(self, metrics: MetricReader, wanted: Wanted) -> Sequence[Series]:
        async with self.queries:
            metric, labels = wanted
            return await self.attempt(metric, metrics.select(metric, labels, minutes=MINUTES), ())


def _is(obj: Object, ref: ObjectRef) -> bool:
    same_place = dig(obj, "metadata", "namespace", default="") == ref.namespace
    return obj.get("kind") == ref.kind.kind and dig(obj, "metadata", "name") == ref.name and same_place
