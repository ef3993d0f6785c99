"""The read side of the ledger: what happened before, counted."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from akeso.model.evidence import PastAction
from akeso.model.run import Run, RunPhase
from akeso.record import codec
from akeso.record.pool import Database


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of a Workflow."""

    name: str
    phase: RunPhase
    start: datetime


@dataclass(frozen=True, slots=True)
class Stats:
    """How a Workflow fared. Failed counts Failed and RolledBack; an escalation is neither success nor failure."""

    active: int = 0
    succeeded: int = 0
    failed: int = 0
    last_run: LastRun | None = None
    last_success: datetime | None = None

    @property
    def success_percent(self) -> int | None:
        """Of the runs that succeeded or failed; None where there are none."""
        ended = self.succeeded + self.failed
        return round(100 * self.succeeded / ended) if ended else None


class History:
    """Every method raises DatabaseAway where Postgres does not answer."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def past_actions(
        self, target_key: str, since: datetime, *, except_run: str | None = None,
    ) -> list[PastAction]:
        """What was done to a target, by other runs than `except_run`, newest first. Outcome `Pending` where the
        verification is not over."""
        rows = await self._db.rows("past_actions", {
            "target_key": codec.bounded(target_key), "since": since, "except_run": except_run})
        return [codec.past_action_from(row) for row in rows]

    async def target_holder(self, target_key: str) -> str | None:
        """Name of the run that holds the target now; None where none does."""
        rows = await self._db.rows("target_holder", {"target_key": codec.bounded(target_key)})
        return str(rows[0]["name"]) if rows else None

    async def actions_of_agent(self, namespace: str, name: str, since: datetime) -> int:
        """Changes that runs under this Agent made since then."""
        rows = await self._db.rows("actions_of_agent", {"namespace": namespace, "name": name, "since": since})
        return int(rows[0]["actions"])

    async def workflow_stats(self, workflow_key: str) -> Stats:
        row = (await self._db.rows("workflow_stats", {"workflow_key": codec.bounded(workflow_key)}))[0]
        last = LastRun(row["last_name"], RunPhase(row["last_phase"]), row["last_start"]) if row["last_name"] else None
        return Stats(row["active"], row["succeeded"], row["failed"], last, row["last_success"])

    async def recent_runs(self, limit: int) -> list[Run]:
        """The newest runs, newest first."""
        return [codec.run_from(row) for row in await self._db.rows("recent_runs", {"limit": limit})]

    async def counts_by_phase(self) -> Mapping[RunPhase, int]:
        return {RunPhase(row["phase"]): row["runs"] for row in await self._db.rows("counts_by_phase")}

    async def queue_depth(self, now: datetime) -> int:
        """Runs that are due and that nobody holds."""
        return int((await self._db.rows("queue_depth", {"now": now}))[0]["due"])

    async def note(self, signal_id: str) -> str:
        """Why a signal did not become a run; empty where it did, or where the signal is unknown."""
        rows = await self._db.rows("note", {"id": signal_id})
        return str(rows[0]["note"]) if rows else ""
