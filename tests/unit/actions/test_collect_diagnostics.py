"""collect_diagnostics: keeps what was seen, bounded, and never a secret."""
from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from tests.unit.actions.applying import assert_survives, change_of, verification

from akeso.sdk.action import EffectClass, Reversibility, Verb
from akeso.testing.builders import container, context, deployment, node, pod, replicaset, terminated, waiting
from akeso_actions.collect_diagnostics import MAX_EVENTS, MAX_LOG_CHARS, MAX_OBJECTS, CollectDiagnostics

ACTION = CollectDiagnostics()
WEB = deployment(containers=[container(env={"DB_PASSWORD": "hunter2-secret", "MODE": "prod"})])
RS = replicaset(WEB)
BAD = pod(RS, "bad", ready=False, restarts=3, state=waiting(), last_state=terminated())
GOOD = pod(RS, "good")
LOGS = {
    f"shop/{BAD['metadata']['name']}/app": "one\ntwo\nAuthorization: Bearer abc.def.ghi\nfour",
    f"shop/{BAD['metadata']['name']}/app/previous": "password=hunter2",
    f"shop/{GOOD['metadata']['name']}/app": "all is well",
}


def test_it_keeps_objects_events_and_the_logs_of_what_fails() -> None:
    event = {"kind": "Event", "metadata": {"name": "e"}, "reason": "BackOff", "message": "token: abcdefgh"}
    change = change_of(ACTION, context(WEB, RS, BAD, GOOD, events=[event], logs=LOGS, missing={"metrics": "none"}))
    assert change.verb is Verb.COLLECT
    assert [o["metadata"]["name"] for o in change.body["objects"]][:2] == ["web", BAD["metadata"]["name"]]
    assert change.body["events"][0]["reason"] == "BackOff"
    assert set(change.body["logs"]) == {key for key in LOGS if "bad" in key}
    assert change.body["missing"] == {"metrics": "none"}
    assert change.summary == "keep 4 objects, 1 events and 2 logs of Deployment/web"


def test_no_secret_is_kept() -> None:
    event = {"kind": "Event", "metadata": {"name": "e"}, "message": "token: abcdefgh"}
    kept = json.dumps(change_of(ACTION, context(WEB, RS, BAD, events=[event], logs=LOGS)).body)
    for secret in ("hunter2", "abc.def.ghi", "abcdefgh", "prod"):
        assert secret not in kept
    assert "DB_PASSWORD" in kept


def test_only_the_last_lines_of_a_log_are_kept() -> None:
    logs = change_of(ACTION, context(WEB, RS, BAD, logs=LOGS), lines=1).body["logs"]
    assert logs[f"shop/{BAD['metadata']['name']}/app"] == "four"
    logs = change_of(ACTION, context(WEB, RS, BAD, logs=LOGS), lines=0).body["logs"]
    assert set(logs.values()) == {""}


def test_it_is_bounded_and_keeps_what_fails_first() -> None:
    crowd = [pod(RS, str(i)) for i in range(100)]
    long = {f"shop/{BAD['metadata']['name']}/app": "x" * 100_000}
    body = change_of(ACTION, context(WEB, *crowd, BAD, events=[{"kind": "Event"}] * 300, logs=long)).body
    assert (len(body["objects"]), len(body["events"])) == (MAX_OBJECTS, MAX_EVENTS)
    assert body["objects"][1]["metadata"]["name"] == BAD["metadata"]["name"]
    assert {len(log) for log in body["logs"].values()} == {MAX_LOG_CHARS}


def test_it_changes_nothing_and_says_so() -> None:
    assert (ACTION.effect, ACTION.reversibility, ACTION.needs) == (EffectClass.READ, Reversibility.NOTHING, ())
    assert verification(ACTION, WEB, None)[0] == "Healthy"
    assert ACTION.undo(WEB, WEB, change_of(ACTION, context(WEB))) is None


def test_it_works_for_a_node() -> None:
    assert change_of(ACTION, context(node())).body["objects"][0]["kind"] == "Node"


@pytest.mark.parametrize("lines", [-1, 1001, "all"])
def test_lines_are_bounded(lines: object) -> None:
    with pytest.raises(ValidationError):
        ACTION.params.model_validate({"lines": lines})


def test_hostile_objects_never_crash_it() -> None:
    assert_survives(ACTION, WEB, BAD)
