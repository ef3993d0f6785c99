"""A tenant's namespace under one operator: its objects, the alerts about them, and what came of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from hack.rig.install import ROOT
from hack.rig.operator import Operator
from tests.e2e.staging import ACCOUNT, Alertmanager, Stage, until

API = "akeso.dev/v1alpha1"
ENDED = ("Succeeded", "Failed", "Escalated", "Refused", "Suggested", "Cancelled", "RolledBack")
SCALE_DOWN = {"name": "scale_deployment", "with": {"replicas": 0, "allowZero": True}}  # needs no node to be carried out


@contextmanager
def ledger(postgres: str, name: str) -> Iterator[str]:
    """A database of its own in that server; its URL."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')  # type: ignore[arg-type]  # a name of ours, never input
    yield postgres.replace("/postgres?", f"/{name}?", 1)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')  # type: ignore[arg-type]


def akeso(*arguments: str, kubeconfig: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command line as a person types it; the caller looks at its exit code."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AKESO_")} | {"KUBECONFIG": str(kubeconfig)}
    return subprocess.run(
        [str(ROOT / ".venv/bin/akeso"), *arguments],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def deployment(name: str, annotations: Mapping[str, str] | None = None, replicas: int = 1) -> dict[str, Any]:
    """No scheduler looks at its pods: they stay Pending, with and without nodes, and go at once when unwanted."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels, "annotations": dict(annotations or {})},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "schedulerName": "e2e-nobody",
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "app", "image": "docker.io/library/busybox:akeso"}],
                },
            },
        },
    }


def agent(name: str = "sre", **spec: Any) -> dict[str, Any]:
    body = {"autonomy": "Autonomous", "modelEndpointRefs": [{"name": "rules"}], **spec}
    return {"apiVersion": API, "kind": "Agent", "metadata": {"name": name}, "spec": body}


def endpoint(name: str = "rules", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "ModelEndpoint",
        "metadata": {"name": name},
        "spec": spec or {"provider": "Rules", "model": "rules"},
    }


def workflow(
    name: str = "scale-down", *, alertname: str = "", steps: Sequence[Mapping[str, Any]] = (), **spec: Any
) -> dict[str, Any]:
    """Scales the alert's Deployment down, unless `steps` say otherwise. `alertname`: as its name, when left out."""
    trigger = {"name": "alert", "alert": {"matchers": [{"name": "alertname", "value": alertname or name}]}}
    body = {
        "serviceAccountName": ACCOUNT,
        "agentRef": {"name": "sre"},
        "triggers": [trigger],
        "steps": list(steps) or [{"name": "act", "action": SCALE_DOWN}],
        **spec,
    }
    return {"apiVersion": API, "kind": "Workflow", "metadata": {"name": name}, "spec": body}


@dataclass(frozen=True, slots=True)
class Scene:
    """One namespace, seen by one operator."""

    stage: Stage
    operator: Operator
    namespace: str

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.stage.kubectl.apply(
            json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}), "-n", self.namespace
        )

    def kubectl(self, verb: str, *arguments: str) -> str:
        return self.stage.kubectl(verb, "-n", self.namespace, *arguments)

    def ready(self, *names: str) -> None:
        """Until these Workflows are Ready."""
        self.kubectl("wait", "--for=condition=Ready", *(f"akwf/{n}" for n in names), "--timeout=30s")

    def alert(self, about: str, alertname: str = "scale-down", **labels: str) -> Alertmanager:
        """The alert about that Deployment, not yet delivered."""
        return Alertmanager(
            self.operator,
            {"alertname": alertname, "namespace": self.namespace, "deployment": about, "severity": "warning", **labels},
        )

    def fire(self, about: str, alertname: str = "scale-down", **labels: str) -> Alertmanager:
        """Delivered: committed and acknowledged."""
        made = self.alert(about, alertname, **labels)
        made.deliver("firing")
        return made

    def run_of(self, alert: Alertmanager) -> dict[str, Any] | None:
        """The newest run that this alert started."""
        found = [
            r
            for r in self.stage.runs(self.namespace)
            if r["spec"]["trigger"].get("alert", {}).get("fingerprint") == alert.fingerprint
        ]
        return max(found, key=lambda r: str(r["metadata"]["creationTimestamp"])) if found else None

    def reached(self, alert: Alertmanager, *phases: str, patience: float = 30.0) -> dict[str, Any]:
        """Its run, once it is in one of these phases. Raises AssertionError with its story where it ended otherwise."""

        def look() -> dict[str, Any] | None:
            run = self.run_of(alert)
            phase = (run or {}).get("status", {}).get("phase", "")
            if run is not None and phase in phases:
                return run
            assert phase not in ENDED, f"it ended {phase}, not {' or '.join(phases)}:\n{told(run or {})}"
            return None

        try:
            return until(f"{' or '.join(phases)} of the run of {alert.labels}", look, patience, every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{told(self.run_of(alert) or {})}\n{self.operator.tail(15)}") from None

    def ended(self, alert: Alertmanager, patience: float = 30.0) -> dict[str, Any]:
        return self.reached(alert, *ENDED, patience=patience)

    def writes(self, name: str) -> list[dict[str, Any]]:
        """Accepted writes on that Deployment that Akeso made, by the API server's audit log."""
        return self.stage.audit.writes(self.namespace, "deployments", name)

    def replicas(self, name: str) -> int:
        return int(self.stage.kubectl.get("deployment", name, "-n", self.namespace)["spec"]["replicas"])


def told(run: Mapping[str, Any]) -> str:
    """The story of a run, a line each."""
    lines = run.get("status", {}).get("story", [])
    return "\n".join(f"{line['kind']:<12} {line['reason']}: {line['message']}" for line in lines)


def condition(obj: Mapping[str, Any], type_: str) -> dict[str, Any]:
    """That condition of the object's status, {} where it has none."""
    found = obj.get("status", {}).get("conditions", [])
    return next((dict(c) for c in found if c["type"] == type_), {})
