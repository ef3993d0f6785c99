"""A stand-in for kube-state-metrics, which cannot be had from the package registries that these machines reach.

It serves a few of its series, under its names and labels, read from the real API server at each scrape, so that the
stock alert rules fire for the stock reasons. It is a tool of the demo and the tests, not a part of Akeso.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .kubectl import Kubectl

RULES = """
groups:
- name: kubernetes-apps
  rules:
  # kubernetes-mixin's expression, with seconds where it has minutes: instead of `for: 15m`, at the second restart.
  - alert: KubePodCrashLooping
    expr: >-
      max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[8s]) >= 1
      and on (namespace, pod, container) kube_pod_container_status_restarts_total >= 2
    labels: {severity: warning}
    annotations:
      summary: Pod is crash looping.
      description: 'Pod {{ $labels.namespace }}/{{ $labels.pod }} ({{ $labels.container }}) is in CrashLoopBackOff.'
- name: general
  rules:
  - alert: Watchdog
    expr: vector(1)
    labels: {severity: none}
    annotations: {summary: 'This alert always fires, so that a cut pipeline is noticed.'}
"""


def _label(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _line(name: str, value: float, **labels: object) -> str:
    pairs = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {value:g}"


def series(pods: list[dict[str, Any]]) -> Iterator[str]:
    """The exposition, a line each."""
    for pod in pods:
        meta = pod["metadata"]
        for status in pod.get("status", {}).get("containerStatuses", []):
            labels = {"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"],
                      "container": status["name"]}
            yield _line("kube_pod_container_status_restarts_total", status.get("restartCount", 0), **labels)
            yield _line("kube_pod_container_status_ready", float(status.get("ready", False)), **labels)
            waiting = status.get("state", {}).get("waiting", {}).get("reason")
            if waiting:
                yield _line("kube_pod_container_status_waiting_reason", 1, **labels, reason=waiting)
            ended = status.get("lastState", {}).get("terminated", {}).get("reason")
            if ended:
                yield _line("kube_pod_container_status_last_terminated_reason", 1, **labels, reason=ended)


class StateMetrics:
    """Serves on a free port of `host` until closed."""

    def __init__(self, kubectl: Kubectl, host: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    body = "\n".join(series(kubectl.get("pods", "-A")["items"])) + "\n"
                except Exception as error:  # noqa: BLE001 a scrape that fails is a scrape that fails; the next one comes
                    self.send_error(503, str(error)[:100])
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self.address = f"{host}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
