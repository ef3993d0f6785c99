"""A pod that an alert names and that is not there any more: its workload, only where the API server confirms it.

Names are a hint; the hint counts only if exactly one living controller could have made that name.
"""
from __future__ import annotations

import asyncio
import re
from typing import Final

from akeso.ingest.owners import Reads
from akeso.model.objects import (
    DAEMONSET,
    DEPLOYMENT,
    JOB,
    REPLICASET,
    STATEFULSET,
    Object,
    controller_of,
    dig,
)

# The API server makes suffixes and template hashes of these letters only (apimachinery util/rand).
_SAFE: Final = "[bcdfghjklmnpqrstvwxz2456789]"
_SUFFIX: Final = re.compile(rf"(?P<stem>.+)-{_SAFE}{{5}}")
_HASHED: Final = re.compile(rf"(?P<stem>.+)-{_SAFE}{{1,10}}")
_ORDINAL: Final = re.compile(r"(?P<stem>.+)-(?P<ordinal>0|[1-9][0-9]{0,4})")


async def pod_that_is_gone(namespace: str, name: str, reads: Reads) -> tuple[Object | None, str]:
    """The controller that made a pod of that name, with a remark; None where none or several could have."""
    candidates = await asyncio.gather(
        _replica_set(namespace, name, reads), _stateful_set(namespace, name, reads), _direct(namespace, name, reads),
    )
    found = [obj for some in candidates for obj in some]
    if len(found) == 1:
        made_by = f"{found[0].get('kind')}/{dig(found[0], 'metadata', 'name')}"
        return found[0], f"Pod/{name} is gone, {made_by} made it"
    if found:
        return None, "it is gone, and several controllers could have made it"
    return None, "it is gone, and so is whatever made it"


async def _replica_set(namespace: str, name: str, reads: Reads) -> list[Object]:
    """The ReplicaSet, or where that revision was pruned, the Deployment that made ReplicaSets of such names."""
    made = _SUFFIX.fullmatch(name)
    if made is None:
        return []
    exact = await reads.get(REPLICASET, namespace, made["stem"])
    if exact is not None:
        return [exact]
    hashed = _HASHED.fullmatch(made["stem"])
    deployment = await reads.get(DEPLOYMENT, namespace, hashed["stem"]) if hashed else None
    if deployment is None:
        return []
    wanted = dig(deployment, "spec", "selector", "matchLabels", default={})
    siblings = await reads.reader.list(REPLICASET, namespace, labels=wanted)
    uid = dig(deployment, "metadata", "uid")
    owned = [s for s in siblings if (controller_of(s) or {}).get("uid") == uid]
    return [deployment] if owned else []


async def _stateful_set(namespace: str, name: str, reads: Reads) -> list[Object]:
    """The StatefulSet, if that ordinal is one of its own."""
    match = _ORDINAL.fullmatch(name)
    found = await reads.get(STATEFULSET, namespace, match["stem"]) if match else None
    if match is None or found is None:
        return []
    start = int(dig(found, "spec", "ordinals", "start", default=0))
    count = int(dig(found, "spec", "replicas", default=1))
    return [found] if start <= int(match["ordinal"]) < start + count else []


async def _direct(namespace: str, name: str, reads: Reads) -> list[Object]:
    """A DaemonSet or a Job, which name their pods without a hash between."""
    made = _SUFFIX.fullmatch(name)
    if made is None:
        return []
    both = await asyncio.gather(reads.get(DAEMONSET, namespace, made["stem"]), reads.get(JOB, namespace, made["stem"]))
    return [obj for obj in both if obj is not None]
