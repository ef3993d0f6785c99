"""Signals: deduplicated episodes of alerts, and the heartbeats that say whether alerts arrive at all."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from akeso.model.alert import Signal
from akeso.record import codec, incoming
from akeso.record.incoming import Incoming, Saved
from akeso.record.pool import Database, names


class Signals:
    """Write side of signals. Every method raises DatabaseAway where Postgres does not answer."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def save_alerts(self, batch: Sequence[Incoming], now: datetime) -> list[Saved]:
        """Take in a batch in one statement, however long; what became of each alert, in the same order.

        Firing: upserted, deliveries counted, reopened where it was resolved, a run for each match that has none yet.
        Resolved: closed (or kept as closed where unknown) and its unfinished runs made due.
        """
        if not batch:
            return []
        ids, folded = incoming.fold(batch)
        rows = incoming.rows(folded)
        result = await self._db.rows("save_alerts", {
            "signals": codec.dumps(rows.signals), "runs": codec.dumps(rows.runs),
            "definitions": codec.dumps(rows.definitions), "now": now,
        })
        new: set[str] = set()
        runs: dict[str, list[str]] = {}
        for row in result:
            sid = str(row["signal_id"])
            if row["run_id"] is not None:
                runs.setdefault(sid, []).append(str(row["run_id"]))
            elif row["new"]:
                new.add(sid)
        return saved_in_order(ids, new, runs)

    async def signal(self, signal_id: str) -> Signal | None:
        rows = await self._db.rows("signal", {"id": signal_id})
        return codec.signal_from(rows[0]) if rows else None

    async def signals_for_fingerprints(self, fingerprints: Sequence[str], *, source: str | None = None) -> list[Signal]:
        """All episodes of these fingerprints, newest first; of any source where none is given."""
        rows = await self._db.rows("signals_for_fingerprints", {
            "fingerprints": [codec.bounded(f) for f in fingerprints],
            "source": None if source is None else codec.bounded(source),
        })
        return [codec.signal_from(row) for row in rows]

    async def mark_resolved_absent(self, source: str, still_firing: Sequence[str], now: datetime) -> list[str]:
        """Resolve what an Alertmanager no longer lists; the ids. `now` is the moment before its list was read:
        a signal seen later stays as it is."""
        rows = await self._db.rows("mark_resolved_absent", {
            "source": codec.bounded(source), "still_firing": [codec.bounded(f) for f in still_firing], "now": now,
        })
        return names(rows, "id")

    async def note_signal(self, signal_id: str, note: str) -> None:
        """Write down why a signal did not become a run."""
        await self._db.rows("note_signal", {"id": signal_id, "note": note})

    async def beat_heartbeat(self, source: str, now: datetime) -> None:
        """The always-firing alert of this source arrived."""
        await self._db.rows("beat_heartbeat", {"source": codec.bounded(source), "now": now})

    async def heartbeats(self) -> Mapping[str, datetime]:
        """When each source was last heard."""
        return {row["source"]: row["last_seen"] for row in await self._db.rows("heartbeats")}


def saved_in_order(ids: Sequence[str], new: set[str], runs: Mapping[str, Sequence[str]]) -> list[Saved]:
    """One Saved for each item of a batch; of duplicates only the first is new."""
    result = []
    seen: set[str] = set()
    for sid in ids:
        result.append(Saved(sid, sid in new and sid not in seen, tuple(sorted(runs.get(sid, ())))))
        seen.add(sid)
    return result
