"""Commands that need no cluster: rbac, actions and eval."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
import yaml

from akeso.act import rbac, registry
from akeso.cli.output import as_json, table
from akeso.errors import InvalidInput


def print_actions(output: str) -> None:
    found = registry.load()
    rows: list[dict[str, Any]] = [{
        "name": a.name, "title": a.title, "targets": [k.kind for k in a.target_kinds], "effect": str(a.effect),
        "undo": str(a.reversibility), "parameters": a.params.model_json_schema().get("properties", {})} for a in found]
    if output == "json":
        as_json(rows)
        return
    table(["NAME", "TARGETS", "EFFECT", "UNDO", "WHAT"], (
        [r["name"], ",".join(r["targets"]), r["effect"], r["undo"], r["title"]] for r in rows))
    for problem in found.problems:
        typer.echo(f"not registered: {problem}", err=True)


def print_rbac(
    actions: Sequence[str], service_account: str, namespace: str, cluster_wide: bool, secrets: Sequence[str] = (),
) -> None:
    found = registry.load()
    unknown = [name for name in actions if name not in found]
    if unknown:
        raise InvalidInput(f"No action {', '.join(unknown)} is registered", next_step="akeso actions")
    rules = found.rules_for(actions or found.names())
    documents = rbac.secret_reader(namespace, secrets) if secrets else []
    if actions or not secrets:
        documents += rbac.tenant(namespace, service_account, rules, cluster_wide=cluster_wide)
    typer.echo(yaml.safe_dump_all(documents, sort_keys=False), nl=False)


def evaluate(directory: Path, output: str) -> None:
    from akeso.engine.evaluate import evaluate_directory, report
    result = evaluate_directory(directory)
    typer.echo(report(result, output))
