"""A connection to the cluster for one command, as the person who types it."""
from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from akeso.errors import InvalidInput, NotFound
from akeso.kube.client import connect
from akeso.kube.cluster import Cluster
from akeso.model.api.kinds import WORKFLOW_RUN
from akeso.model.objects import Object
from akeso.settings import Settings


@contextlib.asynccontextmanager
async def cluster(kubeconfig: str) -> AsyncIterator[Cluster]:
    async with await connect(Settings.from_env(kubeconfig=kubeconfig or None)) as connection:
        yield Cluster(connection)


def space(cluster: Cluster, namespace: str) -> str:
    """The namespace that was typed, else the kubeconfig's; empty, which means all, where neither names one."""
    return namespace or cluster.connection.namespace


async def find_run(cluster: Cluster, name: str, namespace: str, *, everywhere: bool = False) -> Object:
    """The WorkflowRun of that name, in `space(namespace)` or `everywhere`. `run/x` and `x` are the same."""
    name, namespace = name.rpartition("/")[2], "" if everywhere else space(cluster, namespace)
    if namespace:
        found = await cluster.get(WORKFLOW_RUN.resource, namespace, name)
        matches = [found] if found else []
    else:
        listed = await cluster.list(WORKFLOW_RUN.resource, fields={"metadata.name": name})
        matches = list(listed)
    if not matches:
        raise NotFound(f"No WorkflowRun {name}" + (f" in namespace {namespace}" if namespace else ""),
                       next_step="akeso get -A")
    if len(matches) > 1:
        spaces = ", ".join(m["metadata"]["namespace"] for m in matches)
        raise InvalidInput(f"WorkflowRun {name} exists in several namespaces", why=spaces, next_step="add -n NAMESPACE")
    return matches[0]
