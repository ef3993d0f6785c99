"""The command line of hack/cluster."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from . import binaries, cluster, controlplane, images, monitoring, register
from .console import ClusterError, say
from .procs import alive
from .state import Cluster, cluster_lock, locked, require


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hack/cluster", description="A throw-away Kubernetes cluster of real parts.")
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--name", default="dev", help="the instance; several can run side by side (default: dev)")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[shared], help=text, description=text)

    up = command("up", "start a cluster and wait until pods can run on it")
    up.add_argument("--nodes", type=int, default=2, help="number of nodes (default: 2)")
    up.add_argument("--kubeconfig", type=Path, help="use this cluster instead of making one")
    up.add_argument("--control-plane-only", action="store_true", help="etcd, API server, controllers; no nodes")
    up.add_argument("--kwok", type=int, default=0, metavar="N", help="add N fake nodes")
    up.add_argument("--json", type=Path, metavar="FILE", help="write kubeconfig, ports and timings")
    command("down", "take a cluster down, leaving nothing")
    command("status", "show the processes and nodes of all clusters, or of --name").set_defaults(name=None)
    command("env", "print the shell line that sets KUBECONFIG")
    command("pause-apiserver", "end the API server; all else goes on")
    command("resume-apiserver", "start the API server again with the same flags")
    load = command("load-image", "import an image archive into every node")
    load.add_argument("file", type=Path)
    watch = command("monitoring", "start Prometheus and Alertmanager beside the cluster, or end them")
    watch.add_argument("action", choices=["up", "down"])
    watch.add_argument("--rules", type=Path, help="Prometheus rule file")
    watch.add_argument("--webhook", help="URL that Alertmanager posts to")
    watch.add_argument("--token-file", type=Path, help="file with the webhook's bearer token")
    commands.add_parser("sweep", help="remove what crashed instances left; running ones stay")
    build = commands.add_parser("build", help="build tools into the cache without starting anything")
    build.add_argument("tool", nargs="+", choices=sorted(binaries.TOOLS_BY_NAME))
    return parser


def _figures(found: Cluster) -> dict[str, object]:
    return {
        "name": found.name,
        "kind": found.kind,
        "kubeconfig": str(found.kubeconfig),
        "kubectl": found.kubectl,
        "server": found.server,
        "auditLog": str(found.audit_log) if found.kind in {"native", "control-plane"} else None,
        "nodes": [node.name for node in found.nodes],
        "ports": found.ports,
        "versions": found.versions,
        "timings": found.timings,
    }


def _up(arguments: argparse.Namespace) -> int:
    found = cluster.up(
        arguments.name,
        arguments.nodes,
        kubeconfig=arguments.kubeconfig,
        control_plane_only=arguments.control_plane_only,
        kwok=arguments.kwok,
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(_figures(found), indent=1) + "\n")
    print(found.kubeconfig)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    if not cluster.down(arguments.name):
        say(f"cluster {arguments.name}: nothing to take down")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    """Exit code 1 when a named cluster is not up."""
    chosen = [e for e in register.entries() if arguments.name in {None, e.name}]
    healthy = bool(chosen) or arguments.name is None
    for entry in chosen:
        why = register.crashed(entry)
        if why:
            healthy = False
            print(f"{entry.name}: crashed ({why}); remove it with: hack/cluster sweep")
            continue
        found = require(entry.name)
        print(f"{found.name}: {found.kind}, {found.phase}, {found.kubeconfig}")
        for record in found.procs:
            state = "running" if alive(record) else "paused" if record.role in found.paused else "ended"
            print(f"  {record.role:<32} pid {record.pid:<8} {state}")
    if not chosen:
        print("no clusters" if arguments.name is None else f"no cluster {arguments.name}")
    return 0 if healthy else 1


def _env(arguments: argparse.Namespace) -> int:
    print(f"export KUBECONFIG={require(arguments.name).kubeconfig}")
    return 0


def _on_apiserver(arguments: argparse.Namespace) -> int:
    with locked(cluster_lock(arguments.name)):
        found = require(arguments.name)
        change = (
            controlplane.pause_apiserver if arguments.command == "pause-apiserver" else controlplane.resume_apiserver
        )
        change(found)
    return 0


def _load_image(arguments: argparse.Namespace) -> int:
    images.load(require(arguments.name), arguments.file)
    return 0


def _monitoring(arguments: argparse.Namespace) -> int:
    found = require(arguments.name)
    if arguments.action == "down":
        monitoring.stop(found)
        return 0
    if not arguments.rules or not arguments.webhook:
        raise ClusterError("monitoring up needs --rules FILE and --webhook URL")
    started = monitoring.start(found, arguments.rules.read_text(), arguments.webhook, arguments.token_file)
    print(json.dumps({"prometheus": started.prometheus_url, "alertmanager": started.alertmanager_url}))
    return 0


def _sweep(_: argparse.Namespace) -> int:
    removed = cluster.sweep()
    say(f"swept: {', '.join(removed)}" if removed else "nothing to sweep")
    return 0


def _build(arguments: argparse.Namespace) -> int:
    for tool in arguments.tool:
        print(binaries.ensure(tool))
    return 0


_COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "env": _env,
    "pause-apiserver": _on_apiserver,
    "resume-apiserver": _on_apiserver,
    "load-image": _load_image,
    "monitoring": _monitoring,
    "sweep": _sweep,
    "build": _build,
}


def _interrupt(number: int, _frame: object) -> None:
    """SIGTERM and SIGHUP clean up like Ctrl-C does; a second one does not disturb the cleaning."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run one command; 0 done, 1 failed or not up, 2 wrong use, 130 interrupted."""
    arguments = _parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _COMMANDS[arguments.command](arguments)
    except ClusterError as error:
        print(f"hack/cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
