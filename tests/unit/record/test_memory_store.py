"""The contract of the ledger over memory alone: needs nothing but Python."""
from __future__ import annotations

import pytest
from tests.integration.record.contract import AlertContract, EffectContract, Ledger, RunContract

from akeso.testing.memory_store import MemoryStore


@pytest.fixture
def ledger() -> Ledger:
    memory = MemoryStore()
    return Ledger(memory, memory)


class TestAlerts(AlertContract):
    pass


class TestRuns(RunContract):
    pass


class TestEffects(EffectContract):
    pass
