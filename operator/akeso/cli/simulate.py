"""simulate: an alert from a file through the real matching, gates, plan and dry run, with nothing written."""
from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import orjson
import typer

from akeso.cli.output import as_json, clean
from akeso.engine.catalogue import Catalogue
from akeso.engine.listing import prime
from akeso.engine.simulate import simulate
from akeso.engine.wiring import cluster_services
from akeso.errors import InvalidInput
from akeso.ingest.webhook import parse
from akeso.record.pool import open_pool
from akeso.settings import Settings


async def simulate_file(kubeconfig: str, path: Path, *, output: str, database_url: str) -> None:
    """Exit code 0 whatever the finding; 1 for an alert that cannot be read."""
    alerts = parse(_payload(path)).alerts
    settings = Settings.from_env(kubeconfig=kubeconfig or None, database_url=database_url or None)
    database = await open_pool(settings.database_url, 2) if settings.database_url else None
    try:
        async with cluster_services(settings, database=database) as services:
            await prime(services, Catalogue(services))
            found = {f"{a.name}/{a.fingerprint}": await simulate(services, a) for a in alerts}
    finally:
        if database is not None:
            await database.close()
    if output == "json":
        as_json({key: [asdict(f) for f in findings] for key, findings in found.items()})
        return
    for findings in found.values():
        for one in findings:
            first, *rest = one.message.split("\n")
            typer.echo(f"{'ok' if one.ok else 'NO':<3} {one.kind:<12} {clean(first)}")
            for line in rest:
                typer.echo(f"{'':17}{clean(line)}")
    if database is None:
        typer.echo("not checked without --database-url: cooldowns and runs on the same target")


def _payload(path: Path) -> bytes:
    """A webhook body, or a single alert wrapped into one."""
    try:
        body = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        raw = orjson.loads(body)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path} cannot be read", why=str(error), next_step="give an Alertmanager webhook payload") from error
    if isinstance(raw, dict) and "alerts" not in raw and "labels" in raw:
        raw = {"version": "4", "status": "firing", "receiver": "simulate", "externalURL": "", "alerts": [
            {"status": "firing", "startsAt": "2026-01-01T00:00:00Z", "annotations": {}, **raw}]}
    return orjson.dumps(raw)
