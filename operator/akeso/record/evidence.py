"""Evidence and story: what a decision looked at, and what happened then, for people."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from akeso.model.evidence import Facts
from akeso.model.run import StoryLine
from akeso.record import codec
from akeso.record.pool import Database


@dataclass(frozen=True, slots=True)
class Evidence:
    """`snapshot` is JSON; `codec.snapshot_from_json` reads one that `codec.dumps(snapshot)` wrote."""

    facts: Facts
    snapshot: Mapping[str, Any]
    gathered_at: datetime


class EvidenceStore:
    """Every method raises DatabaseAway where Postgres does not answer."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def save_evidence(self, run_id: str, facts: Facts, snapshot_json: str) -> None:
        """Keep what a decision looks at. Gathering again replaces it: the newest is what was decided on."""
        await self._db.rows("save_evidence", {
            "run_id": run_id, "facts": codec.dumps(codec.facts_to_json(facts)), "snapshot": clean_json(snapshot_json),
        })

    async def evidence(self, run_id: str) -> Evidence | None:
        rows = await self._db.rows("evidence", {"run_id": run_id})
        if not rows:
            return None
        return Evidence(codec.facts_from_json(rows[0]["facts"]), rows[0]["snapshot"], rows[0]["gathered_at"])

    async def story(self, run_id: str) -> list[StoryLine]:
        """The story of a run, oldest line first."""
        return [codec.story_from(row) for row in await self._db.rows("story", {"run_id": run_id})]


def clean_json(text: str) -> str:
    """JSON text that Postgres takes; `codec.dumps` output comes back as it is."""
    return codec.dumps(codec.loads(text)) if "\\u" in text else text
