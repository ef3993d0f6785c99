"""Reads of one resolution: each object at most once, owners followed by uid."""
from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from akeso.errors import AkesoError
from akeso.model.objects import (
    CRONJOB,
    DAEMONSET,
    DEPLOYMENT,
    JOB,
    REPLICASET,
    STATEFULSET,
    Kind,
    Object,
    controller_of,
    dig,
    kind_named,
)
from akeso.ports import ClusterReader

FOLLOWED: Final = (REPLICASET, DEPLOYMENT, STATEFULSET, DAEMONSET, JOB, CRONJOB)
"""Owners that are climbed to. Others (a custom resource, the Node of a static pod) end the chain."""

MAX_DEPTH: Final = 6
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Reads:
    """Reads through a ClusterReader, once per object. What cannot be a name is never put into a URL."""

    def __init__(self, reader: ClusterReader) -> None:
        self.reader = reader
        self._seen: dict[tuple[Kind, str, str], Object | AkesoError | None] = {}

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object or None. Raises ClusterAway, Forbidden."""
        key = (kind, namespace if kind.namespaced else "", name)
        if not usable(kind, *key[1:]):
            return None
        if key not in self._seen:
            try:
                self._seen[key] = await self.reader.get(*key)
            except AkesoError as error:
                self._seen[key] = error
        found = self._seen[key]
        if isinstance(found, AkesoError):
            raise found
        return found

    async def ahead(self, *wanted: tuple[Kind, str, str]) -> None:
        """Read these at the same time: the next steps may ask for them, and only then does a failure surface."""
        await asyncio.gather(*(self.get(*one) for one in wanted), return_exceptions=True)


def usable(kind: Kind, namespace: str, name: str) -> bool:
    """True where both can be names of objects. Label values are hostile: `../../secrets` is one."""
    if kind.namespaced and not _NAME.fullmatch(namespace):
        return False
    return _NAME.fullmatch(name) is not None


def owner_kind(obj: Object) -> Kind | None:
    """The followed kind of the controller owner, or None where there is none that is followed."""
    owner = controller_of(obj)
    if owner is None:
        return None
    kind = kind_named(str(owner.get("kind")), str(owner.get("apiVersion", "")).rpartition("/")[0])
    return kind if kind in FOLLOWED else None


async def climb(first: Object, reads: Reads) -> tuple[Sequence[Object], str]:
    """The object and its controllers upwards, each verified by uid, and a remark where the climb ended early."""
    chain = [first]
    while len(chain) < MAX_DEPTH:
        owner = controller_of(chain[-1])
        kind = owner_kind(chain[-1])
        if owner is None or kind is None:
            manager = manager_of(chain[-1])
            return chain, f"it is managed by {manager}" if manager else ""
        name = str(owner.get("name", ""))
        found = await reads.get(kind, str(dig(chain[-1], "metadata", "namespace", default="")), name)
        if found is None:
            return chain, f"its owner {kind.kind}/{name} is gone"
        uid = dig(found, "metadata", "uid", default="")
        if not uid or uid != owner.get("uid"):
            return chain, f"{kind.kind}/{name} is a namesake of its owner, with another uid"
        if any(dig(seen, "metadata", "uid") == uid for seen in chain):
            return chain, f"its owners form a cycle at {kind.kind}/{name}"
        chain.append(found)
    return chain, f"it has more than {MAX_DEPTH - 1} owners"


def manager_of(obj: Object) -> str:
    """`Prometheus/k8s (monitoring.coreos.com/v1)`: the custom resource that controls this object, or nothing.

    Its operator would undo a change of the object, so only the custom resource may be changed (alerts.md 4.1 rule 7).
    """
    owner = controller_of(obj)
    if owner is None or owner.get("kind") == "Node" or owner_kind(obj) is not None:
        return ""
    return f"{owner.get('kind')}/{owner.get('name')} ({owner.get('apiVersion')})"
