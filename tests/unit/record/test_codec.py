"""Model values survive JSON, and hostile text becomes text that Postgres can hold."""
from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from tests.integration.record.contract import NOW, TARGET, alert, match, plan

from akeso.model.objects import NODE, ObjectRef
from akeso.record import codec
from akeso.record.incoming import Incoming, fold, rows, run_name, signal_id


def test_a_plan_keeps_its_hash_through_json() -> None:
    original = plan()
    assert codec.plan_from_json(codec.plan_to_json(original)).hash == original.hash


@pytest.mark.parametrize("ref", [TARGET, ObjectRef(NODE, "", "n1")])
def test_a_reference_survives_json(ref: ObjectRef) -> None:
    assert codec.ref_from_json(codec.loads(codec.dumps(codec.ref_to_json(ref)))) == ref


@pytest.mark.parametrize(("text", "clean"), [
    ("plain", "plain"), ("a\0b", "a\ufffdb"), ("\ud800", "\ufffd"), ("\ud83d\ude00", "😀"), ("é😀", "é😀"),
    (r"a literal \u0000 stays", r"a literal \u0000 stays"),
])
def test_text_is_cleaned_and_nothing_else_is_changed(text: str, clean: str) -> None:
    assert codec.clean_text(text) == clean
    assert codec.loads(codec.dumps({text: [text]})) == {clean: [clean]}


def test_values_that_json_does_not_know_are_written_all_the_same() -> None:
    value = {"big": 2**70, "read_only": MappingProxyType({"a": 1}), "at": NOW, "set": {"x"}, "nan": float("nan"), 1: 2}
    assert codec.loads(codec.dumps(value)) == {
        "big": 2.0**70, "read_only": {"a": 1}, "at": "2026-11-20T12:00:00Z", "set": ["x"], "nan": None, "1": 2}


def test_a_long_key_is_bounded_and_stays_distinct() -> None:
    one, two = "x" * 5_000 + "1", "x" * 5_000 + "2"
    assert len(codec.bounded(one)) < 200
    assert codec.bounded(one) != codec.bounded(two)
    assert codec.bounded(codec.bounded(one)) == codec.bounded(one)
    assert codec.bounded("short") == "short"


def test_the_identity_of_an_episode_does_not_depend_on_how_its_time_is_written() -> None:
    moved = datetime.fromisoformat("2026-11-20T14:00:00+02:00")
    assert signal_id("am", "f", NOW) == signal_id("am", "f", moved)
    assert signal_id("am", "f", NOW) != signal_id("am2", "f", NOW)
    assert NOW.tzinfo is UTC


def test_run_names_are_valid_object_names_however_long_the_prefix() -> None:
    name = run_name("a" * 100 + "-", "signal", "shop/Workflow/w")
    assert len(name) <= 63
    assert name != run_name("a" * 100, "signal", "shop/Workflow/v")


def test_the_deliveries_of_one_batch_fold_into_one_row_and_definitions_are_sent_once() -> None:
    shared = match()
    batch = [Incoming(alert("a"), [shared]), Incoming(alert("a", "resolved"), [shared]), Incoming(alert("b"), [shared])]
    ids, folded = fold(batch)
    assert ids[0] == ids[1] != ids[2]
    assert [one.id for one in folded] == sorted(set(ids))
    sent = rows(folded)
    assert (len(sent.signals), len(sent.runs), len(sent.definitions)) == (2, 2, 1)
    assert {row["fingerprint"]: (row["firing"], row["deliveries"]) for row in sent.signals} == {
        "a": (False, 2), "b": (True, 1)}
