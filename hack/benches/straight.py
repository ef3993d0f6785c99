"""The floor of alert to write: a script that makes the same API calls and the same commits, one after the other.

Its calls are those that the API server's audit log holds of one run of Akeso between alert and write, without the
WorkflowRun and the Events, which Akeso writes beside that path. Nothing is parsed, matched, judged or rendered.
"""
from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from . import alerts
from .audit import Call
from .shop import USER, Target

_METHODS = {"get": "GET", "list": "GET", "patch": "PATCH"}
_BESIDE = ("/workflowruns", "/events.k8s.io/", "/akeso.dev/")


@dataclass(frozen=True, slots=True)
class Row:
    """A statement of one commit, with values of the size that the operator writes."""

    text: str
    values: tuple[Any, ...]


def recipe(calls: Sequence[Call]) -> list[Call]:
    """The calls on the path from alert to write."""
    return [c for c in calls if not any(part in c.uri for part in _BESIDE) and c.verb in _METHODS]


class Script:
    """Keeps one connection to the API server and one to Postgres, as any script would."""

    def __init__(self, kubeconfig: Path, database: str, calls: Sequence[Call], seen: Target) -> None:
        config = json.loads(kubeconfig.read_text())
        server = urlsplit(config["clusters"][0]["cluster"]["server"])
        authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        self._api = http.client.HTTPSConnection(server.hostname or "", server.port, context=context, timeout=10)
        self._headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}", "User-Agent": "bench"}
        self._database = psycopg.connect(database, autocommit=True, prepare_threshold=0)
        self._calls, self._seen = calls, seen
        self._samples = _samples(self._database)

    def run(self, target: Target, number: int) -> float:
        """Make the calls and commits for this target; when it began, in seconds since the epoch."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        patch = json.dumps([
            {"op": "test", "path": "/metadata/uid", "value": target.uid},
            {"op": "test", "path": "/metadata/generation", "value": target.generation},
            {"op": "add", "path": "/spec/template/metadata/annotations",
             "value": {"kubectl.kubernetes.io/restartedAt": stamp}},
            {"op": "add", "path": "/metadata/annotations/bench.akeso.dev~1action", "value": uuid.uuid4().hex}])
        commits = _commits(self._samples, target, number)
        began = time.time()
        for call in self._calls[:-1]:
            self._send(call, target, patch)
        for statements in commits:
            with self._database.pipeline(), self._database.transaction():
                for row in statements:
                    self._database.execute(row.text, row.values)
        self._send(self._calls[-1], target, patch)
        return began

    def _send(self, call: Call, target: Target, patch: str) -> None:
        uri = call.uri.replace(self._seen.pod, target.pod).replace(self._seen.replica_set, target.replica_set)
        uri = uri.replace(self._seen.name, target.name)
        headers, body = dict(self._headers), None
        if call.verb == "patch":
            headers |= {"Content-Type": "application/json-patch+json", "Impersonate-User": call.impersonated or USER}
            body = patch
        self._api.request(_METHODS[call.verb], uri, body=body, headers=headers)
        answer = self._api.getresponse()
        data = answer.read()
        if answer.status >= 400 and answer.status != call.code:
            raise RuntimeError(f"straight script: {call.verb} {uri}: {answer.status} {data[:300]!r}")

    def close(self) -> None:
        self._api.close()
        self._database.close()


def _samples(database: psycopg.Connection[Any]) -> dict[str, Any]:
    """What the operator wrote about its newest run: the rows of the script are as large."""
    run = _one(
        database, "select id, workflow::text, agent::text, target::text from run order by created_at desc limit 1")
    evidence = _one(database, "select facts::text, snapshot::text from evidence where run_id = %s", run[0])
    plan = _one(database, "select action, plan::text from intent where run_id = %s", run[0])
    step = _one(database, "select data::text from step where run_id = %s", run[0])
    stories = database.execute(
        "select kind, reason, message from story where run_id = %s order by seq", [run[0]]).fetchall()
    return {"workflow": run[1], "agent": run[2], "target": run[3], "facts": evidence[0], "snapshot": evidence[1],
            "action": plan[0], "plan": plan[1], "step": step[0], "story": stories[:7]}


def _one(database: psycopg.Connection[Any], text: str, *values: Any) -> tuple[Any, ...]:
    row = database.execute(text, values).fetchone()
    if row is None:
        raise RuntimeError("the operator's run left no rows to measure by")
    return tuple(row)


_SIGNAL = ("insert into signal (id, source, fingerprint, starts_at, labels, annotations, generator_url, group_key,"
           " receiver, first_seen, last_seen) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, now(), now())")
_RUN = ("insert into run (id, name, namespace, signal_id, workflow_key, trigger, workflow, agent,"
        " phase, created_at, shown) values (%s, %s, 'shop', %s, 'shop/Workflow/floor', 'errors', %s, %s,"
        " 'Cancelled', now(), 0)")
_STEP = ("insert into step (run_id, name, ordinal, phase, reason, message, attempts, data)"
         " values (%s, 'restart', 1, %s, '', '', 0, %s)"
         " on conflict (run_id, name) do update set phase = excluded.phase, data = excluded.data")
_STORY = "insert into story (run_id, at, kind, reason, message) values (%s, clock_timestamp(), %s, %s, %s)"


def _commits(given: dict[str, Any], target: Target, number: int) -> list[list[Row]]:
    """The commits of a run up to its write: intake, claim, evidence, begin, decide, lock, plan, consent, intent."""
    run, one = str(uuid.uuid4()), alerts.alert(-1, number)
    signal = alerts.signal_row(one)
    lines = [Row(_STORY, (run, *line)) for line in given["story"]]

    def step(phase: str, data: str) -> Row:
        return Row(_STEP, (run, phase, data))

    return [
        [Row(_SIGNAL, signal), Row(_RUN, (run, f"floor-{run}", signal[0], given["workflow"], given["agent"]))],
        [Row("update run set epoch = epoch + 1, holder = 'floor', held_at = now() where id = %s", (run,))],
        [Row("insert into evidence (run_id, facts, snapshot) values (%s, %s, %s)",
             (run, given["facts"], given["snapshot"]))],
        [Row("update run set started_at = now(), target = %s where id = %s", (given["target"], run)),
         step("Pending", "{}"), *lines[:3]],
        [Row("update run set message = 'moved' where id = %s", (run,)), step("Ready", "{}"), *lines[3:5]],
        [Row("insert into target_lock (target_key, run_id) values (%s, %s)", (f"floor/{target.name}", run))],
        [Row("update run set message = 'moved' where id = %s", (run,)), step("Planned", given["step"]), *lines[5:7]],
        [Row("update run set message = 'moved' where id = %s", (run,)), step("Approved", given["step"])],
        [Row("insert into intent (action_id, run_id, step, epoch, action, target_key, plan, state)"
             " values (%s, %s, 'restart', 1, %s, %s, %s, 'Intent')",
             (uuid.uuid4().hex, run, given["action"], f"floor/{target.name}", given["plan"]))],
    ]
