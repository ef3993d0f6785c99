"""approve and deny: one write to the Approval as the person who types it; RBAC on the verb `approve` decides."""
from __future__ import annotations

import typer

from akeso.cli.output import clean
from akeso.cli.session import cluster, find_run
from akeso.clock import system_clock
from akeso.errors import InvalidInput, NotFound
from akeso.model.api.kinds import APPROVAL, parse
from akeso.model.objects import ObjectRef, dig


async def decide(kubeconfig: str, *, run: str, namespace: str, decision: str, comment: str) -> None:
    """Raises NotFound where the run waits for nobody, Forbidden where the person may not approve."""
    async with cluster(kubeconfig) as api:
        obj = await find_run(api, run, namespace)
        name, namespace = str(dig(obj, "metadata", "name")), str(dig(obj, "metadata", "namespace"))
        listed = await api.list(APPROVAL.resource, namespace, fields={"spec.runRef.name": name})
        waiting = [a for a in listed if not dig(a, "spec", "decision")]
        if not waiting:
            raise NotFound(f"WorkflowRun {name} waits for nobody", why=f"its phase is {dig(obj, 'status', 'phase')}",
                           next_step=f"akeso why {name} -n {namespace}")
        asked = parse(APPROVAL, max(waiting, key=lambda a: str(dig(a, "metadata", "creationTimestamp", default=""))))
        if asked.spec.expiration_time and asked.spec.expiration_time <= system_clock():
            raise InvalidInput("The approval has lapsed", why=f"it was open until {asked.spec.expiration_time}",
                               next_step="wait for the alert to fire again")
        who = await api.whoami()
        body = {"decision": decision, "decidedBy": who} | ({"comment": comment} if comment else {})
        ref = ObjectRef(APPROVAL.resource, namespace, asked.name)
        await api.merge(ref, {"spec": body})
        typer.echo(clean(f"{decision} by {who}: {asked.spec.summary}"))
        for line in (asked.spec.diff or "").split("\n") if decision == "Approved" else ():
            typer.echo(clean(line))
