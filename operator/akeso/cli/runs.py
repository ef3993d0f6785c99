"""get, describe and why: everything from the WorkflowRun's status, so kubectl's rights are all that it takes."""
from __future__ import annotations

from typing import Any

import typer

from akeso.cli.output import age, as_json, clean, table
from akeso.cli.session import cluster, find_run, space
from akeso.clock import system_clock
from akeso.model.api.kinds import APPROVAL, WORKFLOW_RUN
from akeso.model.objects import Object, dig


async def get(kubeconfig: str, *, name: str, namespace: str, everywhere: bool, output: str) -> None:
    async with cluster(kubeconfig) as api:
        if name:
            runs: list[Object] = [await find_run(api, name, namespace, everywhere=everywhere)]
        else:
            runs = list(await api.list(WORKFLOW_RUN.resource, "" if everywhere else space(api, namespace)))
    runs.sort(key=lambda r: str(dig(r, "metadata", "creationTimestamp", default="")))
    if output == "json":
        as_json({"items": runs})
        return
    if output == "name":
        for run in runs:
            typer.echo(f"workflowrun/{dig(run, 'metadata', 'name')}")
        return
    if not runs:
        typer.echo("No runs yet. An alert that matches a Workflow starts one; try: akeso simulate alert.json")
        return
    now = system_clock()
    table(["NAMESPACE", "NAME", "WORKFLOW", "TARGET", "PHASE", "STEPS", "AGE"], (
        [dig(r, "metadata", "namespace"), dig(r, "metadata", "name"), dig(r, "spec", "workflowRef", "name"),
         dig(r, "status", "target", default=""), dig(r, "status", "phase", default="Pending"),
         dig(r, "status", "progress", default=""), age(dig(r, "metadata", "creationTimestamp"), now)] for r in runs))


async def why(kubeconfig: str, *, name: str, namespace: str, output: str) -> None:
    async with cluster(kubeconfig) as api:
        run = await find_run(api, name, namespace)
    story = dig(run, "status", "story", default=[])
    if output == "json":
        as_json(story)
        return
    print_story(run)


def print_story(run: Object) -> None:
    where, phase = f"{dig(run, 'metadata', 'namespace')}/{dig(run, 'metadata', 'name')}", dig(run, "status", "phase")
    typer.echo(clean(f"{where}: {phase or 'Pending'}"))
    for line in dig(run, "status", "story", default=[]):
        first, *rest = str(line.get("message", "")).split("\n")
        typer.echo(clean(f"{str(line.get('at', ''))[11:23]:<12}  {line.get('kind', ''):<12}  {first}"))
        for more in rest:
            typer.echo(f"{'':28}{clean(more)}")


async def describe(kubeconfig: str, *, name: str, namespace: str) -> None:
    async with cluster(kubeconfig) as api:
        run = await find_run(api, name, namespace)
        approvals = await api.list(APPROVAL.resource, str(dig(run, "metadata", "namespace")),
                                   fields={"spec.runRef.name": str(dig(run, "metadata", "name"))})
    status = dig(run, "status", default={})
    for label, value in (
            ("Name", dig(run, "metadata", "name")), ("Namespace", dig(run, "metadata", "namespace")),
            ("Workflow", dig(run, "spec", "workflowRef", "name")), ("Trigger", dig(run, "spec", "trigger", "name")),
            ("Alert", dig(run, "spec", "trigger", "alert", "labels", "alertname")), ("Target", status.get("target")),
            ("Phase", status.get("phase")), ("Started", status.get("startTime")),
            ("Ended", status.get("completionTime")), ("Decided by", dig(status, "decision", "model"))):
        typer.echo(f"{label + ':':<13}{clean(value or '-')}")
    _section("Conditions", [
        f"{c['type']:<12} {c['status']:<8} {c['reason']}: {c['message']}" for c in status.get("conditions", [])])
    _section("Steps", [f"{s['name']:<20} {s['phase']:<20} {s.get('message', '')}" for s in status.get("steps", [])])
    _section("Approvals", [_approval(a) for a in approvals])
    typer.echo("Story:")
    print_story(run)


def _approval(obj: Object) -> str:
    spec: dict[str, Any] = dig(obj, "spec", default={})
    answer = f"{spec['decision']} by {spec.get('decidedBy')}" if spec.get("decision") else "waiting"
    return f"{dig(obj, 'metadata', 'name')}: {answer}; expires {spec.get('expirationTime')}\n{spec.get('diff', '')}"


def _section(title: str, lines: list[str]) -> None:
    if lines:
        typer.echo(f"{title}:")
    for line in lines:
        for part in line.split("\n"):
            typer.echo(f"  {clean(part)}")
