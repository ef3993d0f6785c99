"""The commands: their helps, what needs no cluster, and what they do on a cluster in memory."""
from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.engine.rig import AUTONOMOUS, Rig
from typer.testing import CliRunner

from akeso.cli.main import app
from akeso.model.run import RunPhase
from akeso.testing.fake_cluster import FakeCluster

COMMANDS = ("run", "get", "describe", "why", "approve", "deny", "simulate", "doctor", "rbac", "actions", "eval")
EVIL = "\x1b[2J\u202eevil"
run = CliRunner().invoke


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_explains_itself(command: str) -> None:
    done = run(app, [*([command] if command else []), "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output
    if not command:
        assert all(name in done.output for name in COMMANDS)


def test_help_loads_nothing_heavy() -> None:
    code = ("import sys\nimport akeso.cli.main as m\nfrom typer.testing import CliRunner\n"
            "assert CliRunner().invoke(m.app, ['--help']).exit_code == 0\n"
            "print([n for n in ('kubernetes', 'kopf', 'psycopg', 'httpx', 'pydantic', 'jinja2', 'starlette', 'yaml',"
            " 'cel_expr_python', 'prometheus_client') if n in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_actions_are_listed_with_what_they_promise() -> None:
    lines = run(app, ["actions"]).output.splitlines()
    assert lines[0].split() == ["NAME", "TARGETS", "EFFECT", "UNDO", "WHAT"]
    assert any(line.startswith("scale_deployment") and "Exact" in line for line in lines)
    found = json.loads(run(app, ["actions", "-o", "json"]).output)
    assert "replicas" in next(a for a in found if a["name"] == "scale_deployment")["parameters"]


def test_rbac_is_the_least_that_an_action_needs() -> None:
    done = run(app, ["rbac", "scale_deployment", "--service-account", "healer", "-n", "shop"])
    documents = list(yaml.safe_load_all(done.output))
    [role] = [d for d in documents if d["kind"] == "Role" and any(
        "deployments" in r["resources"] for r in d["rules"])]
    [rule] = role["rules"]
    assert (rule["apiGroups"], rule["verbs"]) == (["apps"], ["get", "patch"])
    assert not [d for d in documents if d["kind"] == "ClusterRole"]


@pytest.mark.parametrize(("arguments", "said"), [
    (["rbac", "no_such_action"], "akeso actions"), (["eval", "/nowhere"], "akeso eval tests/scenarios"),
    (["simulate", "/nowhere.json"], "webhook payload")])
def test_an_error_is_one_line_that_says_what_to_do(arguments: list[str], said: str) -> None:
    done = run(app, arguments)
    assert done.exit_code == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("Error: AK-")
    assert said in line


@pytest.mark.parametrize("arguments", [
    ["get", "-o", "yaml"], ["run", "--listen", "localhost"], ["run", "--listen", "h:x"]])
def test_an_option_that_cannot_be_is_refused(arguments: list[str]) -> None:
    assert run(app, arguments).exit_code == 2


def test_eval_scores_frozen_scenarios() -> None:
    one = Path(__file__).parents[2] / "scenarios/F01"
    result = json.loads(run(app, ["eval", str(one), "-o", "json"]).output)
    assert result["totals"]["scenarios"] == 1
    assert "right" in run(app, ["eval", str(one)]).output


# on a cluster in memory

async def waiting() -> Rig:
    rig = Rig()
    rig.define(agent={**AUTONOMOUS, "autonomy": "Approve"})
    await rig.fire()
    await rig.go(until=RunPhase.WAITING)
    await rig.projector.drain()
    return rig


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    import asyncio
    made = asyncio.run(waiting())

    @contextlib.asynccontextmanager
    async def cluster(_: str) -> AsyncIterator[FakeCluster]:
        yield made.cluster
    for module in ("runs", "approvals", "doctor"):
        monkeypatch.setattr(f"akeso.cli.{module}.cluster", cluster)
    monkeypatch.setattr("akeso.cli.approvals.system_clock", made.clock)
    return made


def name_of(rig: Rig, plural: str = "workflowruns") -> str:
    return next(k[3] for k in rig.cluster.server.objects if k[1] == plural)


def test_get_lists_runs(rig: Rig) -> None:
    name = name_of(rig)
    assert f"{name}   heal       Deployment/web   WaitingForApproval" in run(app, ["get"]).output
    assert run(app, ["get", "-o", "name"]).output == f"workflowrun/{name}\n"
    assert json.loads(run(app, ["get", name, "-o", "json"]).output)["items"][0]["metadata"]["name"] == name
    missing = run(app, ["get", "nothing", "-n", "shop"])
    assert (missing.exit_code, "akeso get -A" in missing.stderr) == (1, True)


def test_why_and_describe_tell_the_story(rig: Rig) -> None:
    name = name_of(rig)
    why = run(app, ["why", f"workflowrun/{name}"]).output
    assert "scale Deployment/web from 2 to 4 replicas" in why
    assert json.loads(run(app, ["why", name, "-o", "json"]).output)[0]["kind"] == "alert"
    described = run(app, ["describe", name]).output
    for part in ("Conditions:", "Steps:", "Approvals:", "Story:", "+  replicas: 4"):
        assert part in described


def test_an_approval_names_the_person_and_shows_the_change(rig: Rig) -> None:
    done = run(app, ["approve", name_of(rig), "--comment", "go on"])
    assert done.exit_code == 0, done.output
    assert "Approved by ada: scale Deployment/web from 2 to 4 replicas" in done.output
    assert "+  replicas: 4" in done.output
    spec: Any = rig.cluster.find("approvals", "shop", name_of(rig, "approvals"))["spec"]
    assert (spec["decision"], spec["decidedBy"], spec["comment"]) == ("Approved", "ada", "go on")
    again = run(app, ["deny", name_of(rig)])
    assert (again.exit_code, "waits for nobody" in again.stderr) == (1, True)


def test_what_a_stranger_wrote_cannot_steer_the_terminal(rig: Rig) -> None:
    name = name_of(rig)
    rig.cluster.change("approvals", "shop", name_of(rig, "approvals"), lambda a: a["spec"].update(
        summary=f"{EVIL}summary", diff=f"{EVIL}diff"))

    def forge(obj: dict[str, Any]) -> None:
        obj["status"] |= {"phase": EVIL, "target": EVIL, "story": [
            {"at": EVIL * 3, "kind": EVIL, "reason": "r", "message": f"one{EVIL}\ntwo{EVIL}"}]}
        obj["status"]["steps"][0]["message"] = EVIL
    rig.cluster.change("workflowruns", "shop", name, forge)
    for arguments in (["get"], ["why", name], ["describe", name], ["approve", name]):
        done = run(app, arguments)
        assert done.exit_code == 0, done.output
        assert "evil" in done.output
        assert not {"\x1b", "\u202e"} & set(done.output), arguments


def test_doctor_names_the_command_that_repairs(rig: Rig) -> None:
    done = run(app, ["doctor", "--server", "http://127.0.0.1:9"])
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert any(line.startswith("✓ api-server") for line in lines)
    assert "fix: kubectl apply --server-side -k crds" in done.output
    assert "127.0.0.1:9 does not answer" in done.output
    checks = json.loads(run(app, ["doctor", "-o", "json"]).output)
    assert {c["check"] for c in checks} >= {"crds", "least-privilege", "opted-in", "workflows"}
    assert all(c["fix"] for c in checks if not c["ok"])
