"""Intents: committed before the first byte of a write is sent, settled once (design/reliability.md A.4)."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from akeso.errors import Superseded
from akeso.model.plan import Intent, IntentState
from akeso.record import codec
from akeso.record.pool import Database


class Intents:
    """Write side of intents. Every method raises DatabaseAway where Postgres does not answer."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def intend(self, intent: Intent, epoch: int) -> Intent:
        """Commit an intention, or return the one that is already there under its action id, whatever its state.

        Raises Superseded where a newer epoch exists (nothing was written)."""
        rows = await self._db.rows("intend", {
            "run_id": intent.run_id, "epoch": epoch, "action_id": intent.action_id, "step": intent.step,
            "action": intent.plan.action, "target_key": codec.bounded(intent.plan.change.target.key),
            "plan": codec.dumps(intent.plan), "state": str(intent.state), "message": intent.message,
        })
        if not rows:
            raise Superseded(why=f"run {intent.run_id} is no longer at epoch {epoch}")
        return codec.intent_from(rows[0])

    async def settle(self, action_id: str, state: IntentState, message: str, now: datetime) -> None:
        """Write how an intention ended. The first end is final; a later one changes nothing."""
        await self._db.rows("settle", {"action_id": action_id, "state": str(state), "message": message, "now": now})

    async def intents(self, run_id: str) -> Sequence[Intent]:
        """The intentions of a run, oldest first."""
        return [codec.intent_from(row) for row in await self._db.rows("intents", {"run_id": run_id})]
