"""Runs: claimed with a growing epoch, written only by their newest holder, woken by anybody."""
from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from akeso.errors import InvalidInput, Superseded
from akeso.model.objects import ObjectRef
from akeso.model.run import Run, RunPhase, StepRecord, StoryLine
from akeso.record import codec
from akeso.record.pool import Database, names

CHANGEABLE = frozenset({"phase", "reason", "message", "target", "started_at", "ended_at"})


class Runs:
    """Write side of runs. Every method raises DatabaseAway where Postgres does not answer."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._claiming = asyncio.Lock()
        self._held: dict[str, int] = {}  # ids handed out by `claim` and not released since, with their epochs

    async def beat(self, replica_id: str, now: datetime) -> None:
        """This replica is alive."""
        await self._db.rows("beat", {"id": replica_id, "now": now})

    async def claim(self, holder: str, limit: int, now: datetime, stale_after: float) -> list[Run]:
        """Take up to `limit` runs that are due, or whose holder has not beaten for `stale_after` seconds.

        Each comes with a new epoch; everything its former holder still does is refused from here on. Runs that
        this Store handed out and that were not released since are left alone; other runs recorded for the same
        holder come from a claim or release whose reply was lost, and are taken again.
        """
        async with self._claiming:  # two at once would take each other's for lost
            rows = await self._db.rows("claim", {
                "holder": holder, "limit": limit, "now": now, "silent_since": now - timedelta(seconds=stale_after),
                "held": sorted(self._held),
            })
            self._held.update((str(row["id"]), int(row["epoch"])) for row in rows)
        return [codec.run_from(row) for row in rows]

    async def release(self, run_id: str, epoch: int, wake_at: datetime | None) -> None:
        """Let go until `wake_at`; None: until somebody wakes it. A wake-up that came while it was held wins.

        Raises Superseded."""
        try:
            done = await self._db.rows("release", {"id": run_id, "epoch": epoch, "wake_at": wake_at})
        finally:
            self._let_go(run_id, epoch)  # not before: a claim in between would take it for lost, and take it again
        if not done:
            raise Superseded(why=f"run {run_id} is no longer at epoch {epoch}")

    def _let_go(self, run_id: str, epoch: int) -> None:
        """Unless it was claimed again meanwhile."""
        if self._held.get(run_id) == epoch:
            del self._held[run_id]

    async def save(
        self, run_id: str, epoch: int, *, run: Mapping[str, Any] | None = None,
        steps: Sequence[StepRecord] = (), story: Sequence[StoryLine] = (),
    ) -> None:
        """Write changed columns (of CHANGEABLE), whole steps and new story lines in one fenced statement.

        Steps keep the order in which they were first saved. A terminal phase frees the locked targets. Raises
        Superseded where a newer epoch exists (nothing was written).
        """
        done = await self._db.rows("save", {
            "id": run_id, "epoch": epoch, "patch": codec.dumps(patch_of(run or {})),
            "steps": codec.dumps([codec.step_to_json(step, n) for n, step in enumerate(steps, 1)]),
            "story": codec.dumps([
                {"n": n, "at": line.at, "kind": line.kind, "reason": line.reason, "message": line.message}
                for n, line in enumerate(story)
            ]),
        })
        if not done or RunPhase((run or {}).get("phase", RunPhase.PENDING)).terminal:
            self._let_go(run_id, epoch)
        if not done:
            raise Superseded(why=f"run {run_id} is no longer at epoch {epoch}")

    async def wake(self, run_id: str, now: datetime) -> None:
        """Make a run due now, also while it is held; nothing where it ended."""
        await self._db.rows("wake", {"id": run_id, "now": now})

    async def unshown(self, limit: int) -> list[str]:
        """Ids of runs whose WorkflowRun does not show their newest version."""
        return names(await self._db.rows("unshown", {"limit": limit}), "id")

    async def version(self, run_id: str) -> int:
        """Grows with every `save`; -1 for an unknown run."""
        rows = await self._db.rows("version", {"id": run_id})
        return int(rows[0]["version"]) if rows else -1

    async def mark_shown(self, run_id: str, version: int) -> None:
        """The WorkflowRun shows that version now."""
        await self._db.rows("mark_shown", {"id": run_id, "version": version})

    async def run(self, run_id: str) -> Run | None:
        rows = await self._db.rows("run", {"id": run_id})
        return codec.run_from(rows[0]) if rows else None

    async def run_named(self, namespace: str, name: str) -> Run | None:
        rows = await self._db.rows("run_named", {"namespace": namespace, "name": name})
        return codec.run_from(rows[0]) if rows else None

    async def lock_target(self, target_key: str, run_id: str) -> str | None:
        """None where the run holds the target now (also where it did before), else the name of the run that does.

        Raises Superseded for a run that ended."""
        rows = await self._db.rows("lock_target", {"target_key": codec.bounded(target_key), "run_id": run_id})
        if not rows:
            raise Superseded("This run has ended", why=f"run {run_id} cannot lock a target any more")
        return None if rows[0]["mine"] else str(rows[0]["name"])


def patch_of(changed: Mapping[str, Any]) -> dict[str, Any]:
    """The changed columns as JSON. Raises InvalidInput for a column that nobody may change."""
    unknown = set(changed) - CHANGEABLE
    if unknown:
        raise InvalidInput(f"Columns of a run that cannot be changed: {', '.join(sorted(unknown))}")
    patch = dict(changed)
    if "target" in patch:
        target: ObjectRef | None = patch["target"]
        patch["target"] = None if target is None else codec.ref_to_json(target)
        patch["target_key"] = None if target is None else codec.bounded(target.key)
    return patch
