"""What a failing workload may fail for: the Services that it names, webhooks, the cluster's DNS, and who else fails.

Only asked for where something fails, in the round trip that reads logs and nodes anyway. Text of a template or of a
condition only says where to look; what is found there are objects of the API server.
"""
from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from akeso.ingest.around import selector_of, selects, unwell
from akeso.model.objects import (
    DEPLOYMENT,
    POD,
    REPLICASET,
    SERVICE,
    STATEFULSET,
    Kind,
    Object,
    controller_of,
    dig,
    labels_of,
)

LISTED: Final = 200     # objects of one kind that are looked through in one namespace
ELSEWHERE: Final = 2    # other namespaces that are looked into
OTHERS: Final = 30      # failing pods of other workloads that are kept
TEXT: Final = 65_536    # characters of a template that are searched for names
DNS: Final = ("kube-system", ("coredns", "kube-dns"))
_HOST: Final = re.compile(r"(?<![\w.-])([a-z][a-z0-9-]{0,62})\.([a-z0-9][a-z0-9-]{0,62})(?:\.svc\b|(?=[:/\s]|$))")

List = Callable[..., Awaitable[Sequence[Object]]]
"""`list(kind, namespace, limit=...)`, which never raises."""


def text_of(target: Object, refused: Sequence[str]) -> str:
    """Where a template names hosts (env, command, args), and what the API server said when it refused pods."""
    spec = dig(target, "spec", "template", "spec", default={})
    parts: list[str] = []
    for container in [*dig(spec, "initContainers", default=[]), *dig(spec, "containers", default=[])]:
        parts += [str(e.get("value", "")) for e in dig(container, "env", default=[])]
        parts += [str(a) for key in ("command", "args") for a in dig(container, key, default=[])]
    return "\n".join([*refused, *parts])[:TEXT]


def refusals(makers: Iterable[Object]) -> list[str]:
    """What the API server said when it took no more pods of a Deployment and its ReplicaSets."""
    conditions = [c for maker in makers for c in dig(maker, "status", "conditions", default=[])]
    return [str(c.get("message", "")) for c in conditions if c.get("type") == "ReplicaFailure"]


def elsewhere(text: str, namespace: str) -> list[str]:
    """Other namespaces whose Services the text may name (`db.data:5432`, `https://policy.hooks.svc`)."""
    found = dict.fromkeys(place for _, place in _HOST.findall(text) if place not in (namespace, "svc"))
    return list(found)[:ELSEWHERE]


async def around(
    target: Object, namespace: str, pods: Sequence[Object], services: Sequence[Object], refused: Sequence[str],
    listed: List,
) -> list[Object]:
    """Services that the target names with their workloads and pods, failing pods of others, DNS where it is down.

    pods      the target's own
    services  those of its namespace, listed before
    refused   what the API server said when it took no more pods
    """
    text = text_of(target, refused)
    places = [namespace, *elsewhere(text, namespace)]
    spaces, dns = await asyncio.gather(
        asyncio.gather(*(_space(place, services if place == namespace else None, listed) for place in places)),
        _dns(listed))
    found: list[Object] = [*dns]
    if target.get("kind") == SERVICE.kind:
        found += _behind(selector_of(target), spaces[0])
    for space in spaces:
        named = [s for s in space[SERVICE] if _mentions(text, s)]
        found += named
        for service in named:
            found += _behind(selector_of(service), space)
    found += _with_owners(_failing_others(spaces[0][POD], pods), spaces[0])
    return found


Space = Mapping[Kind, Sequence[Object]]


async def _space(namespace: str, services: Sequence[Object] | None, listed: List) -> Space:
    kinds = [POD, REPLICASET, DEPLOYMENT, STATEFULSET, *([SERVICE] if services is None else [])]
    lists = await asyncio.gather(*(listed(kind, namespace, limit=LISTED) for kind in kinds))
    return {SERVICE: services or (), **dict(zip(kinds, lists, strict=True))}


async def _dns(listed: List) -> list[Object]:
    namespace, names = DNS
    return [d for d in await listed(DEPLOYMENT, namespace, limit=LISTED) if dig(d, "metadata", "name") in names]


def _mentions(text: str, service: Object) -> bool:
    name = re.escape(str(dig(service, "metadata", "name", default="")))
    return bool(name) and re.search(rf"(?<![\w.-]){name}(?![\w-])", text) is not None


def _behind(selector: Mapping[str, str], space: Space) -> list[Object]:
    """The workloads whose pods the selector takes, with their ReplicaSets and pods."""
    tops = [o for kind in (DEPLOYMENT, STATEFULSET) for o in space[kind]
            if selects(selector, dig(o, "spec", "template", "metadata", "labels", default={}))]
    under = [o for kind in (REPLICASET, POD) for o in space[kind] if selects(selector, labels_of(o))]
    return [*tops, *under]


def _failing_others(all_pods: Iterable[Object], own: Sequence[Object]) -> list[Object]:
    mine = {dig(p, "metadata", "uid") for p in own}
    return [p for p in all_pods if unwell(p) and dig(p, "metadata", "uid") not in mine][:OTHERS]


def _with_owners(pods: Sequence[Object], space: Space) -> list[Object]:
    """The pods, and what controls them as far up as the namespace's lists go."""
    by_uid: dict[Any, Object] = {dig(o, "metadata", "uid"): o for kind in (REPLICASET, DEPLOYMENT, STATEFULSET)
                                 for o in space[kind]}
    found: list[Object] = []
    for obj in pods:
        found.append(obj)
        for _ in range(2):
            above = by_uid.get((controller_of(obj) or {}).get("uid"))
            if above is None:
                break
            found.append(above)
            obj = above
    return found
