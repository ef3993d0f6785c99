"""The write side of the ledger. The read side for people and statistics is `history`."""
from __future__ import annotations

from akeso.record.evidence import EvidenceStore
from akeso.record.intents import Intents
from akeso.record.pool import Database
from akeso.record.runs import Runs
from akeso.record.signals import Signals


class Store(Signals, Runs, Intents, EvidenceStore):
    """Everything that the engine writes, and reads back to go on. `testing.memory_store` keeps the same contract."""

    def __init__(self, database: Database) -> None:
        Runs.__init__(self, database)  # the only part with state of its own

    async def ping(self) -> None:
        """Raises DatabaseAway."""
        await self._db.ping()
