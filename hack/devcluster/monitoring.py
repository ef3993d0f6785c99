"""Debian's Prometheus and Alertmanager as host processes beside a cluster, with a demo's short intervals.

On a native cluster Prometheus scrapes each kubelet's own /metrics/resource with a client certificate;
elsewhere the same page through the API server's node proxy. Debian builds it without discovery through
Kubernetes, so the nodes are those that exist when it starts.
"""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import controlplane, debian
from .api import wait
from .console import ClusterError, timed
from .network import run
from .procs import kill_records, spawn
from .state import Cluster, ProcRecord

ROLES = ("prometheus", "alertmanager")


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Base URLs, reachable from the host and, on a native cluster, from pods."""

    prometheus_url: str
    alertmanager_url: str


@dataclass(frozen=True, slots=True)
class Intervals:
    """Prometheus and Alertmanager durations; the defaults fit a demo of seconds."""

    scrape: str = "1s"
    evaluation: str = "1s"
    group_wait: str = "0s"
    group_interval: str = "1s"
    repeat: str = "1m"


def _credentials(cluster: Cluster) -> tuple[Path, Path, Path, str]:
    """CA, client certificate, key, and the API server's URL, as files that Prometheus 2.42 can read."""
    if cluster.kind == "native":
        pki = cluster.pki
        return pki / "ca.crt", pki / "prometheus.crt", pki / "prometheus.key", controlplane.address_for_nodes(cluster)
    command = [
        cluster.kubectl,
        "--kubeconfig",
        str(cluster.kubeconfig),
        "config",
        "view",
        "--raw",
        "--minify",
        "--flatten",
    ]
    config = json.loads(run(*command, "-o", "json"))
    server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    folder = cluster.folder / "prometheus"
    wanted = {
        "ca.crt": server.get("certificate-authority-data"),
        "client.crt": user.get("client-certificate-data"),
        "client.key": user.get("client-key-data"),
    }
    for name, data in wanted.items():
        if not data:
            raise ClusterError(f"monitoring: {cluster.kubeconfig} has no client certificate; use one that has")
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(base64.b64decode(data))
    return folder / "ca.crt", folder / "client.crt", folder / "client.key", server["server"]


def _targets(cluster: Cluster, server: str) -> list[dict[str, Any]]:
    """One target per node, labelled `node`; off the native cluster its path goes through the API server."""
    if cluster.kind == "native":
        return [{"targets": [f"{n.address}:10250"], "labels": {"node": n.name}} for n in cluster.nodes]
    command = [cluster.kubectl, "--kubeconfig", str(cluster.kubeconfig), "get", "nodes", "-o", "json"]
    names = [item["metadata"]["name"] for item in json.loads(run(*command))["items"]]
    address = server.removeprefix("https://")
    path = "/api/v1/nodes/{}/proxy/metrics/resource"
    return [{"targets": [address], "labels": {"node": n, "__metrics_path__": path.format(n)}} for n in names]


def _scrape(cluster: Cluster) -> dict[str, Any]:
    ca, certificate, key, server = _credentials(cluster)
    return {
        "job_name": "kubelet-resource",
        "scheme": "https",
        "metrics_path": "/metrics/resource",
        "tls_config": {"ca_file": str(ca), "cert_file": str(certificate), "key_file": str(key)},
        "static_configs": _targets(cluster, server),
        "relabel_configs": [{"source_labels": ["node"], "target_label": "instance"}],
    }


def _alertmanager_config(webhook_url: str, token_file: Path | None, intervals: Intervals) -> dict[str, Any]:
    webhook: dict[str, Any] = {"url": webhook_url, "send_resolved": True, "max_alerts": 0}
    if token_file is not None:
        authorization = {"type": "Bearer", "credentials_file": str(token_file.resolve())}
        webhook["http_config"] = {"authorization": authorization}
    route = {
        "receiver": "akeso",
        "group_by": ["alertname", "namespace"],
        "group_wait": intervals.group_wait,
        "group_interval": intervals.group_interval,
        "repeat_interval": intervals.repeat,
    }
    return {"route": route, "receivers": [{"name": "akeso", "webhook_configs": [webhook]}]}


def start(
    cluster: Cluster,
    rules_yaml: str,
    webhook_url: str,
    token_file: Path | None = None,
    *,
    intervals: Intervals = Intervals(),
    extra: Mapping[str, str] | None = None,
) -> Monitoring:
    """Start both against `cluster` and wait until they serve and every node was scraped.

    `rules_yaml` is a Prometheus rule file, `webhook_url` gets every alert (with the bearer token in
    `token_file`, re-read by Alertmanager at each request). `extra` is scraped too: job name to host:port.
    `hack/cluster down` ends both. Raises ClusterError.
    """
    debian.ensure(debian.MONITORING)
    stop(cluster)
    folder = cluster.folder / "prometheus"
    folder.mkdir(exist_ok=True)
    host = cluster.names.bridge_address if cluster.kind == "native" else "127.0.0.1"
    cluster.ports["prometheus"] = controlplane.free_port(cluster)
    cluster.ports["alertmanager"] = controlplane.free_port(cluster)
    urls = Monitoring(f"http://{host}:{cluster.ports['prometheus']}", f"http://{host}:{cluster.ports['alertmanager']}")
    (folder / "rules.yaml").write_text(rules_yaml)
    alertmanager = folder / "alertmanager.json"
    alertmanager.write_text(json.dumps(_alertmanager_config(webhook_url, token_file, intervals), indent=1))
    prometheus = folder / "prometheus.json"
    prometheus.write_text(json.dumps(_prometheus_config(cluster, urls, folder, intervals, extra or {}), indent=1))
    _check(prometheus)
    with timed("Prometheus and Alertmanager running"):
        _spawn(cluster, urls, folder)
        wait(cluster, "Alertmanager ready", lambda: _ok(f"{urls.alertmanager_url}/-/ready"), 30, "alertmanager")
        wait(cluster, "Prometheus ready", lambda: _ok(f"{urls.prometheus_url}/-/ready"), 30, "prometheus")
        wait(cluster, "Prometheus scraping every node", lambda: _all_scraped(cluster, urls), 30, "prometheus")
    return urls


def _prometheus_config(
    cluster: Cluster, urls: Monitoring, folder: Path, intervals: Intervals, extra: Mapping[str, str]
) -> dict[str, Any]:
    target = {"targets": [urls.alertmanager_url.removeprefix("http://")]}
    limits = {"scrape_interval": intervals.scrape, "scrape_timeout": intervals.scrape}
    return {
        "global": {**limits, "evaluation_interval": intervals.evaluation},
        "rule_files": [str(folder / "rules.yaml")],
        "alerting": {"alertmanagers": [{"static_configs": [target]}]},
        "scrape_configs": [
            _scrape(cluster),
            *(
                {"job_name": job, "honor_labels": True, "static_configs": [{"targets": [address]}]}
                for job, address in extra.items()
            ),
        ],
    }


def _check(config: Path) -> None:
    """A wrong rule file is told at once, in promtool's words."""
    done = subprocess.run(["promtool", "check", "config", str(config)], capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise ClusterError(f"promtool refuses {config}: {(done.stdout + done.stderr)[-1500:]}")


def _spawn(cluster: Cluster, urls: Monitoring, folder: Path) -> None:
    alertmanager = [
        f"--config.file={folder}/alertmanager.json",
        f"--storage.path={folder}/alertmanager-data",
        f"--web.listen-address={urls.alertmanager_url.removeprefix('http://')}",
        f"--web.external-url={urls.alertmanager_url}",
        "--cluster.listen-address=",
    ]
    prometheus = [
        f"--config.file={folder}/prometheus.json",
        f"--storage.tsdb.path={folder}/prometheus-data",
        f"--web.listen-address={urls.prometheus_url.removeprefix('http://')}",
        f"--web.external-url={urls.prometheus_url}",
        "--rules.alert.resend-delay=5s",
        "--web.enable-lifecycle",
    ]
    spawn(cluster, "alertmanager", ["/usr/bin/prometheus-alertmanager", *alertmanager])
    spawn(cluster, "prometheus", ["/usr/bin/prometheus", *prometheus])


def _ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _all_scraped(cluster: Cluster, urls: Monitoring) -> bool:
    try:
        with urllib.request.urlopen(f"{urls.prometheus_url}/api/v1/targets?state=active", timeout=2) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
    except OSError:
        return False
    return len(targets) >= max(1, len(cluster.nodes)) and all(t["health"] == "up" for t in targets)


def stop(cluster: Cluster) -> None:
    """End Prometheus and Alertmanager of this cluster, if they run."""
    running: list[ProcRecord] = [p for p in cluster.procs if p.role in ROLES]
    kill_records(running)
    cluster.procs = [p for p in cluster.procs if p.role not in ROLES]
    for role in ROLES:
        cluster.ports.pop(role, None)
    cluster.save()
