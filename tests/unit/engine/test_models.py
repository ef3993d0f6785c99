"""The models of an Agent: in order, built once, and never a reason to stop."""
from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.engine.rig import MODEL_ENDPOINT, Rig

from akeso.decide.providers.rules import Rules
from akeso.engine.models import Models
from akeso.errors import GiveUp
from akeso.model.api.kinds import AGENT, Resource, parse
from akeso.model.verdict import Answer
from akeso.testing import builders

REMOTE = {"provider": "OpenAICompatible", "model": "m", "url": "http://127.0.0.1:9",
          "credentialsSecretRef": {"name": "key", "key": "token"}}


def endpoint(name: str, *, uid: str = "1", **spec: Any) -> Resource[Any]:
    return parse(MODEL_ENDPOINT, {
        "metadata": {"name": name, "namespace": "shop", "uid": uid, "generation": 1},
        "spec": spec or {"provider": "Rules", "model": "rules"}})


def secret(value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "shop"},
            "data": {"token": value}}


def models(rig: Rig) -> Models:
    return Models(rig.definitions, rig.cluster, rig.services.breakers)


def agent(*names: str) -> Any:
    return parse(AGENT, {"metadata": {"name": "a"}, "spec": {"modelEndpointRefs": [{"name": n} for n in names]}}).spec


async def test_an_endpoint_is_built_once_for_each_generation_and_uid() -> None:
    made = models(Rig())
    first = await made.endpoint(endpoint("local"))
    assert isinstance(first, Rules)
    assert await made.endpoint(endpoint("local")) is first
    assert await made.endpoint(endpoint("local", uid="2")) is not first


@pytest.mark.parametrize(("value", "said"), [("", "is no text|has no key"), ("%%%", "is no text"),
                                             (base64.b64encode(b"\xff\xfe").decode(), "is no text")])
async def test_a_secret_that_is_no_text_is_told(value: str, said: str) -> None:
    rig = Rig(secret(value)) if value else Rig()
    with pytest.raises(GiveUp, match=said):
        await models(rig).endpoint(endpoint("remote", **REMOTE))


async def test_a_credential_is_read_from_its_secret() -> None:
    rig = Rig(secret(base64.b64encode(b"abc\n").decode()))
    assert await models(rig).endpoint(endpoint("remote", **REMOTE)) is not None


async def test_one_that_is_not_there_is_passed_over_and_named() -> None:
    rig = Rig()
    rig.definitions.put(endpoint("local"))
    chain = await models(rig).chain("shop", agent("gone", "local"))
    verdict = await chain.ask("Is it raining?", {}, builders.snapshot())
    assert (verdict.answer, verdict.by, list(verdict.tried)) == (Answer.UNSURE, "rules", ["gone"])


async def test_without_an_agent_the_rules_answer() -> None:
    chain = await models(Rig()).chain("shop", None)
    verdict = await chain.ask("Is it raining?", {}, builders.snapshot())
    assert verdict.by == "rules"
