"""Redaction over a seeded corpus: the secret is gone, what stands around it stays."""
from __future__ import annotations

import random
import string
import time
from typing import Any

import pytest

from akeso.model.redact import REDACTED, redact, redact_object
from akeso.testing.builders import container, deployment

WORD = string.ascii_letters + string.digits
FORMS = (
    "password={s}", "PASSWORD: {s}", "db_password={s};", '{{"password": "{s}", "a": 1}}',
    '{{\\"password\\":\\"{s}\\"}}', "passwd='{s}'", "PGPASSWORD={s}", "api_key={s}&x=1", "apiKey => {s}",
    "client_secret={s}", "X-Api-Key: {s}", "token={s},", "Authorization: Bearer {s}", "authorization: Basic {s}",
    '"Authorization": "Bearer {s}"', "curl -H 'Authorization: token {s}'",
    "Cookie: session={s}; a=b", "postgres://app:{s}@db:5432/shop", "https://{s}:x-oauth@git/x", "Bearer {s}",
    "eyJhbGciOi{s}.eyJzdWIi{s}.{s}", "ghp_{s}", "xoxb-{s}", "sk-{s}", "glpat-{s}", "aws_secret_access_key = {s}",
    "-----BEGIN RSA PRIVATE KEY-----\n{s}\n{s}\n-----END RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n{s}",
    "session_id: {s}", "credentials={s}", "private_key: \"{s}\"",
)


def test_no_secret_of_the_corpus_survives_and_its_surroundings_do() -> None:
    dice = random.Random(20261120)
    for _ in range(60):
        for form in FORMS:
            secret = "".join(dice.choices(WORD, k=dice.randrange(12, 40)))
            before, after = f"2026-11-20 pod web-{dice.randrange(99)} says", "and goes on"
            text = f"{before} {form.format(s=secret)}\n{after}"
            clean = redact(text)
            assert secret not in clean, form
            assert clean.startswith(before), form
            assert REDACTED in clean, form
            if "-----BEGIN PRIVATE" not in form:  # a key that never ends takes the rest with it
                assert clean.endswith(after), form
            assert redact(clean) == clean, form


def test_aws_key_ids_are_gone() -> None:
    dice = random.Random(3)
    for prefix in ("AKIA", "ASIA"):
        key = prefix + "".join(dice.choices(string.ascii_uppercase + string.digits, k=16))
        assert redact(f"id {key}.") == f"id {REDACTED}."


@pytest.mark.parametrize("text", [
    "", "Back-off restarting failed container app in pod web-1", "secret \"web-tls\" not found",
    "dial tcp 10.0.0.7:5432: connect: connection refused", "GET http://web:8080/healthz 200",
    "2026-11-20T12:00:00Z started", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "OOMKilled exit code 137", "tokens per second 12",
])
def test_harmless_texts_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("text", [
    "password" * 20_000, "=" * 200_000, "a:" * 100_000, "://" * 60_000, "-----BEGIN " * 20_000, "eyJ" * 60_000,
    "-----BEGIN PRIVATE KEY-----" * 5_000, "\"" * 200_000, "authorization" * 15_000, "secret" + " " * 200_000,
    "x" * 300_000, "key-" * 50_000, "eyJaaaaaa." * 20_000,
])
def test_hostile_texts_cost_no_time(text: str) -> None:
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 3


def test_env_values_go_and_their_names_stay() -> None:
    web = deployment(containers=[container(env={"MODE": "prod", "DB_PASSWORD": "hunter2"})])
    reference = {"name": "K", "valueFrom": {"secretKeyRef": {"name": "s"}}}
    web["spec"]["template"]["spec"]["containers"][0]["env"].append(reference)
    env = redact_object(web)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env == [
        {"name": "MODE", "value": REDACTED}, {"name": "DB_PASSWORD", "value": REDACTED},
        {"name": "K", "valueFrom": {"secretKeyRef": {"name": "s"}}},
    ]


@pytest.mark.parametrize(("args", "clean"), [
    (["--password=hunter2", "-v"], [f"--password={REDACTED}", "-v"]),
    (["--db-password", "hunter2", "x"], ["--db-password", REDACTED, "x"]),
    (["serve", 7, None], ["serve", 7, None]), (["--token=a"], [f"--token={REDACTED}"]),
])
def test_arguments(args: list[Any], clean: list[Any]) -> None:
    assert redact_object({"spec": {"args": args}})["spec"]["args"] == clean


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_data_of_secrets_and_config_maps_goes(kind: str) -> None:
    clean = redact_object({"kind": kind, "data": {"a": "b"}, "stringData": {"c": "d"}, "type": "Opaque"})
    assert clean == {"kind": kind, "data": {"a": REDACTED}, "stringData": {"c": REDACTED}, "type": "Opaque"}


def test_copies_of_the_object_within_itself_go() -> None:
    obj = {"metadata": {
        "name": "web", "managedFields": [{"manager": "x"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "password=hunter2"},
    }}
    assert redact_object(obj) == {"metadata": {"name": "web", "annotations": {"note": f"password={REDACTED}"}}}


def test_references_to_secrets_and_switches_stay() -> None:
    volumes = [{"secret": {"secretName": "tls"}}]
    spec = {"volumes": volumes, "automountServiceAccountToken": False, "serviceAccountName": "web"}
    assert redact_object({"spec": spec}) == {"spec": spec}


def test_values_behind_telling_names_go() -> None:
    assert redact_object({"spec": {"password": "x", "apiKey": "y", "name": "z"}}) == {
        "spec": {"password": REDACTED, "apiKey": REDACTED, "name": "z"},
    }


def test_the_original_is_not_touched_and_redacting_twice_is_the_same() -> None:
    web = deployment(containers=[container(env={"A": "b"})])
    clean = redact_object(web)
    assert web["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "b"
    assert redact_object(clean) == clean


def test_nesting_without_end_is_cut() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(500):
        inner["a"] = {}
        inner = inner["a"]
    inner["env"] = [{"name": "A", "value": "hunter2"}, "odd"]
    assert "hunter2" not in str(redact_object(deep))
