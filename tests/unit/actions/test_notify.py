"""notify: a bounded, plain message to a named channel."""
from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.actions.applying import assert_survives, change_of, verification

from akeso.sdk.action import EffectClass, Reversibility, Verb
from akeso.testing.builders import alert, context, deployment
from akeso_actions.notify import Notify

ACTION = Notify()


def test_the_channel_gets_the_message_and_what_it_is_about() -> None:
    change = change_of(ACTION, context(deployment()), channel="oncall", message="look\nhere")
    assert change.verb is Verb.NOTIFY
    assert change.body == {
        "channel": "oncall", "message": "look\nhere",
        "context": {"target": "Deployment/web", "namespace": "shop", "alert": "KubePodCrashLooping"},
    }


def test_secrets_do_not_leave_the_cluster() -> None:
    hostile = alert("password=hunter2")
    body = change_of(ACTION, context(deployment(), alerts=[hostile]), channel="a", message="token=abcdefgh ok").body
    assert "abcdefgh" not in body["message"]
    assert body["message"].endswith(" ok")
    assert "hunter2" not in body["context"]["alert"]


def test_people_see_what_is_there() -> None:
    message = "all\u202e good\u200b\x1b[2J \x00é"
    assert change_of(ACTION, context(deployment()), channel="a", message=message).body["message"] == "all good[2J é"


def test_an_alert_is_not_needed() -> None:
    assert change_of(ACTION, context(deployment(), alerts=[]), channel="a", message="m").body["context"]["alert"] == ""


@pytest.mark.parametrize("params", [
    {"channel": "oncall"}, {"message": "m"}, {"channel": "", "message": "m"}, {"channel": "../x", "message": "m"},
    {"channel": "a\n", "message": "m"}, {"channel": "a" * 64, "message": "m"}, {"channel": "a", "message": "m" * 4097},
    {"channel": "a", "message": ""}, {"channel": "http://x", "message": "m"},
    {"channel": "a", "message": "m", "url": "x"},
])
def test_parameters_that_cannot_be_meant_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ACTION.params.model_validate(params)


def test_it_changes_nothing_in_the_cluster() -> None:
    assert (ACTION.effect, ACTION.reversibility, ACTION.needs) == (EffectClass.OUTSIDE, Reversibility.NOTHING, ())
    assert verification(ACTION, deployment(), None, channel="a", message="m")[0] == "Healthy"


def test_hostile_objects_never_crash_it() -> None:
    assert_survives(ACTION, deployment(), channel="a", message="m")
