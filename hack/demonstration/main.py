"""Sets up a real cluster, Prometheus, Alertmanager and Akeso, breaks three Deployments, and tells what happens.

  ./hack/demo                 everything, then everything is removed
  ./hack/demo --keep          leave it up, and print how to look around
  ./hack/demo --json FILE     write the hops with their times
  ./hack/demo --kubeconfig F  use that cluster (its nodes must have the demo's busybox image)

Akeso runs as its own ServiceAccount, with the rights of manifests/base and no others. Nothing is simulated: the kernel
kills the container, Prometheus fires, Alertmanager posts, and the API server's audit log says who wrote what.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hack.demonstration.acts import ACTS, NAMESPACE, Act, deployment
from hack.devcluster import cluster as clusters
from hack.devcluster import monitoring
from hack.devcluster.console import ClusterError
from hack.devcluster.state import Cluster
from hack.rig.install import ROOT, install, installed, operator_kubeconfig, tenant_rights, uninstall
from hack.rig.kubectl import Kubectl, KubectlError
from hack.rig.operator import Operator, OperatorError
from hack.rig.statemetrics import RULES, StateMetrics

STARTED = time.monotonic()
PATIENCE = 180.0  # seconds for one act; it takes 15 to 30


class DemoError(Exception):
    """The story did not go as told; the text says where and what to look at."""


@dataclass(slots=True)
class Stage:
    """Everything that is up."""

    cluster: Cluster
    kubectl: Kubectl
    operator: Operator
    folder: Path
    hops: list[dict[str, Any]] = field(default_factory=list)


def say(text: str = "") -> None:
    print(f"[{time.monotonic() - STARTED:5.1f}s] {text}" if text else "", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"{text} ({time.monotonic() - began:.1f} s)")


def until(what: str, condition: Any, patience: float = PATIENCE) -> Any:
    """Poll until it is true; returns what it returned. Raises DemoError."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise DemoError(f"waited {patience:g} s in vain for {what}")


def set_up(stack: ExitStack, options: argparse.Namespace) -> Stage:
    name = options.name
    made = clusters.up(name, options.nodes, kubeconfig=options.kubeconfig)
    if not options.keep:
        stack.callback(clusters.down, name)
    kubectl = Kubectl(made.kubectl, made.kubeconfig)
    if made.kind == "given":
        borrow(stack, kubectl, options)
    folder = Path(tempfile.mkdtemp(prefix=f"akeso-{name}-"))
    with step("custom resources, policy and RBAC installed"):
        install(kubectl)
    host = made.names.bridge_address if made.kind == "native" else "127.0.0.1"
    exporter = StateMetrics(kubectl, host)
    operator = Operator(folder, operator_kubeconfig(kubectl, folder), host=host)
    with step("Prometheus and Alertmanager watching"):
        urls = monitoring.start(made, RULES, f"{operator.url}/v1/alerts", operator.token_file,
                                extra={"kube-state-metrics": exporter.address})
    operator.settings = {"PROMETHEUS_URL": urls.prometheus_url, "ALERTMANAGER_URLS": urls.alertmanager_url}
    if not options.keep:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(exporter.close)
        stack.callback(operator.stop)
    with step("Akeso running as its own ServiceAccount, with an embedded Postgres"):
        operator.start()
    stage = Stage(made, kubectl, operator, folder)
    with step(f"namespace {NAMESPACE} opted in; its Workflow is Ready"):
        opt_in(stage)
    return stage


def borrow(stack: ExitStack, kubectl: Kubectl, options: argparse.Namespace) -> None:
    """Somebody's cluster: touch nothing that is theirs, and take away again what is ours."""
    if kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name").strip():
        raise DemoError(f"namespace {NAMESPACE} exists in this cluster; the demo makes and removes one of that name")
    if options.keep:
        return
    if not installed(kubectl):
        stack.callback(uninstall, kubectl)
    stack.callback(kubectl, "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout=120)


def opt_in(stage: Stage) -> None:
    kubectl = stage.kubectl
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": NAMESPACE, "labels": {"akeso.dev/managed": "true"}}}))
    tenant_rights(kubectl, NAMESPACE, "akeso-remediator", "set_memory_limit", "rollback_deployment")
    kubectl("apply", "-n", NAMESPACE, "-f", str(ROOT / "manifests/examples/crash-loops.yaml"))
    kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", "akwf/crash-loops", "--timeout=60s")


def play(stage: Stage, act: Act) -> None:
    say()
    say(f"Act {act.number}: {act.title}")
    if act.then:
        stage.kubectl.apply(deployment(act, act.first))
        stage.kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{act.deployment}", "--timeout=60s")
        say(f"Deployment {act.deployment} serves; now the bad change is rolled out")
    broken_at = datetime.now(UTC)
    stage.kubectl.apply(deployment(act, act.then or act.first))
    for later in ACTS[act.number:]:  # a crash loop takes half a minute to be one: the next incident begins meanwhile
        if act.then and not later.then:
            stage.kubectl.apply(deployment(later, later.first))
            say(f"meanwhile Deployment {later.deployment}, of act {later.number}, begins to crash")
    seen = until(f"a crash of {act.deployment}", lambda: crash_of(stage, act))
    say(f"container {seen['container']} of {seen['pod']}: {seen['reason']}, exit code {seen['exitCode']}")
    run = until(f"a run for {act.deployment}", lambda: run_of(stage, act))
    name = run["metadata"]["name"]
    say(f"alert {run['spec']['trigger']['alert']['labels']['alertname']} arrived; WorkflowRun {name} began")
    run = until(f"the end of {name}", lambda: ended(stage, name))
    phase = run["status"]["phase"]
    say(f"{name}: {phase} after {run['status'].get('duration')}")
    print(story(stage, name))
    if phase != act.ends:
        raise DemoError(f"act {act.number} ended {phase}, not {act.ends}; see the story above")
    if act.remedy:
        stage.kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{act.deployment}", "--timeout=60s")
        say(f"Deployment {act.deployment} is rolled out and Available")
    if stage.cluster.audit_log.exists():
        writes = count_writes(stage, act)
    else:
        writes = []
        say("the audit log of this cluster cannot be read from here, so the writes are not counted")
    keep_hops(stage, act, broken_at, seen, run, writes)


def count_writes(stage: Stage, act: Act) -> list[dict[str, Any]]:
    """Exactly one for a remedy and none for an escalation, by the API server's own record."""
    writes = audited_writes(stage.cluster, act.deployment)
    if len(writes) != (1 if act.remedy else 0):
        raise DemoError(f"act {act.number}: the audit log has {len(writes)} writes by Akeso: {writes}")
    say(f"the audit log has {len(writes)} write(s) by Akeso" + (f", as {writes[0]['as']}" if writes else ""))
    return writes


def crash_of(stage: Stage, act: Act) -> dict[str, Any] | None:
    for pod in stage.kubectl.get("pods", "-n", NAMESPACE, "-l", f"app={act.deployment}")["items"]:
        for status in pod.get("status", {}).get("containerStatuses", []):
            for state in (status.get("lastState", {}), status.get("state", {})):
                ended = state.get("terminated")
                if ended and ended.get("exitCode"):
                    return {"pod": pod["metadata"]["name"], "container": status["name"], "reason": ended.get("reason"),
                            "exitCode": ended["exitCode"], "finishedAt": ended.get("finishedAt")}
    return None


def run_of(stage: Stage, act: Act) -> dict[str, Any] | None:
    for run in stage.kubectl.get("akrun", "-n", NAMESPACE)["items"]:
        pod = run["spec"]["trigger"].get("alert", {}).get("labels", {}).get("pod", "")
        if pod.startswith(f"{act.deployment}-"):
            return dict(run)
    return None


def ended(stage: Stage, name: str) -> dict[str, Any] | None:
    run = stage.kubectl.get("akrun", "-n", NAMESPACE, name)
    conditions = {c["type"]: c["status"] for c in run.get("status", {}).get("conditions", [])}
    return run if conditions.get("Succeeded") in ("True", "False") else None


def story(stage: Stage, name: str) -> str:
    """What `akeso why` prints."""
    import subprocess
    command = [str(ROOT / ".venv/bin/akeso"), "why", name, "-n", NAMESPACE,
               "--kubeconfig", str(stage.cluster.kubeconfig)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def audited_writes(cluster: Cluster, deployment_name: str) -> list[dict[str, Any]]:
    """Accepted, lasting writes on that Deployment through the operator's account, by the API server's audit log."""
    found = []
    for line in cluster.audit_log.read_text().splitlines() if cluster.audit_log.exists() else ():
        event = json.loads(line)
        ref, user = event.get("objectRef") or {}, event.get("user", {}).get("username", "")
        wanted = (ref.get("resource"), ref.get("name")) == ("deployments", deployment_name)
        if not wanted or "akeso-system:akeso" not in user:
            continue
        if event["verb"] in ("get", "list", "watch") or "dryRun" in event.get("requestURI", ""):
            continue
        if event.get("responseStatus", {}).get("code", 500) < 300:
            who = (event.get("impersonatedUser") or {}).get("username", user)
            found.append({"at": event["stageTimestamp"], "as": who})
    return found


def keep_hops(
    stage: Stage, act: Act, broken_at: datetime, seen: dict[str, Any], run: dict[str, Any],
    writes: list[dict[str, Any]],
) -> None:
    lines = run["status"].get("story", [])
    received = next(line["at"] for line in lines if line["kind"] == "alert")
    hops = [("broken", broken_at.isoformat()), ("crashed", seen["finishedAt"]),
            ("alert started", run["spec"]["trigger"]["alert"]["startsAt"]), ("alert received", received)]
    hops += [("write accepted", w["at"]) for w in writes]
    ends = [line for line in lines if line["kind"] in ("verification", "outcome")]
    hops += [(f"{line['kind']}: {line['reason']}", line["at"]) for line in ends]
    stage.hops += [{"act": act.number, "hop": hop, "at": at} for hop, at in hops]
    if writes:
        own = seconds_between(received, writes[0]["at"])
        stage.hops.append({"act": act.number, "hop": "alert received to write accepted", "seconds": own})
        say(f"Akeso's own part, from alert received to write accepted: {own:.3f} s")


def seconds_between(first: str, second: str) -> float:
    a, b = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (first, second))
    return round((b - a).total_seconds(), 3)


def report(stage: Stage, path: Path, seed: int) -> None:
    own = [h["seconds"] for h in stage.hops if "seconds" in h]
    whole = round(time.monotonic() - STARTED, 1)
    figures = [
        {"name": "whole demo", "value": whole, "unit": "s", "floor": None, "ratio": None, "goal": "< 90",
         "ok": whole < 90},
        {"name": "alert received to write accepted, slowest", "value": max(own, default=None), "unit": "s",
         "floor": None, "ratio": None, "goal": "< 1", "ok": bool(own) and max(own) < 1}]
    machine = f"{platform.system()} {platform.release()} {platform.machine()}"
    written = {"figures": figures, "seed": seed, "machine": machine, "hops": stage.hops}
    path.write_text(json.dumps(written, indent=1) + "\n")


def try_next(stage: Stage) -> None:
    say()
    say("Everything stays up. Look around:")
    for line in (f"export KUBECONFIG={stage.cluster.kubeconfig} PATH={ROOT}/.venv/bin:$PATH", "kubectl get akeso -A",
                 f"kubectl -n {NAMESPACE} describe deployment catalog", f"akeso get -n {NAMESPACE}", "akeso doctor "
                 f"--server {stage.operator.url}", f"tail -f {stage.operator.log}",
                 f"kill {stage.operator.process.pid if stage.operator.process else ''}; "
                 f"hack/cluster down --name {stage.cluster.name}"
                 f"; rm -r {stage.folder}   # when you are done"):
        print(f"  {line}")
    print("This terminal serves the demo's pod metrics; press Ctrl-C to end those.")
    signal.pause()


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hack/demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave everything up")
    parser.add_argument("--json", type=Path, help="write the hops with timestamps there")
    parser.add_argument("--kubeconfig", type=Path, help="use this cluster instead of making one")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--name", default=f"demo-{int(time.time()) % 100000}", help="name of the throw-away cluster")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    stage: Stage | None = None
    with ExitStack() as stack:
        try:
            stage = set_up(stack, chosen)
            for act in ACTS:
                play(stage, act)
            if chosen.json:
                report(stage, chosen.json, 0)
            if chosen.keep:
                try_next(stage)
        except (DemoError, ClusterError, KubectlError, OperatorError) as error:
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            if stage is not None:
                print(f"The operator's last words:\n{stage.operator.tail()}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            say("interrupted; cleaning up")
            return 130
    say()
    say("done: two incidents healed, one escalated; nothing is left behind" if not chosen.keep else "done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
