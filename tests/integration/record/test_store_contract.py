"""The contract of the ledger over real Postgres and over memory."""
from __future__ import annotations

import pytest
from tests.integration.record.contract import AlertContract, EffectContract, Ledger, RunContract

from akeso.record.history import History
from akeso.record.store import Store
from akeso.testing.memory_store import MemoryStore

pytestmark = pytest.mark.integration


@pytest.fixture(params=["memory", "postgres"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        memory = MemoryStore()
        return Ledger(memory, memory)
    store: Store = request.getfixturevalue("store")
    history: History = request.getfixturevalue("history")
    return Ledger(store, history)


class TestAlerts(AlertContract):
    pass


class TestRuns(RunContract):
    pass


class TestEffects(EffectContract):
    pass
