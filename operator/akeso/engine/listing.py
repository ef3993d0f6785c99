"""The first listing of the definitions: matching must not begin on half of them."""
from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from akeso.errors import GiveUp, NotFound
from akeso.model.api.kinds import AGENT, CLUSTER_WORKFLOW, MODEL_ENDPOINT, WORKFLOW
from akeso.model.objects import NAMESPACE

if TYPE_CHECKING:
    from akeso.engine.catalogue import Catalogue
    from akeso.engine.services import Services

DEFINITIONS = (WORKFLOW, CLUSTER_WORKFLOW, AGENT, MODEL_ENDPOINT)


async def prime(services: Services, catalogue: Catalogue | None) -> None:
    """List every definition and namespace into the catalogue (or straight into the definitions without one).

    Raises ClusterAway, and GiveUp where the CRDs are not installed.
    """
    kinds = [NAMESPACE, *(k.resource for k in DEFINITIONS)]
    try:
        listed = await asyncio.gather(*(services.cluster.list(kind, limit=10_000) for kind in kinds))
    except NotFound as error:
        raise GiveUp("The custom resources of Akeso are not installed", why=str(error.what),
                     next_step="kubectl apply --server-side -k crds") from error
    for objects in listed:
        for obj in objects:
            if catalogue is not None:
                catalogue.observe("ADDED", obj)
    services.definitions.synced.set()


