"""CoreDNS as a host process on the bridge address: the cluster's `clusterDNS`."""

from __future__ import annotations

import socket

from . import binaries
from .api import wait
from .procs import spawn
from .state import Cluster

# Asks for A kubernetes.default.svc.cluster.local: header, question.
_QUERY = (
    b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    + b"".join(bytes([len(p)]) + p for p in b"kubernetes.default.svc.cluster.local".split(b"."))
    + b"\x00\x00\x01\x00\x01"
)


def start(cluster: Cluster) -> None:
    """Start CoreDNS; it serves once it has listed Services."""
    names = cluster.names
    corefile = cluster.folder / "Corefile"
    corefile.write_text(
        f""".:53 {{
  bind {names.bridge_address}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {cluster.pki}/coredns.kubeconfig {cluster.name}
    pods insecure
    ttl 5
    fallthrough in-addr.arpa ip6.arpa
  }}
  forward . /etc/resolv.conf
  cache 5
  loadbalance
}}
"""
    )
    spawn(cluster, "coredns", [str(binaries.ensure("coredns") / "coredns"), "-conf", str(corefile)])


def wait_ready(cluster: Cluster) -> None:
    """Wait until it answers for `kubernetes.default` with that Service's address."""
    expected = socket.inet_aton(cluster.names.kubernetes_service)

    def answers() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.5)
            try:
                probe.sendto(_QUERY, (cluster.names.bridge_address, 53))
                return probe.recv(512).endswith(expected)
            except OSError:  # refused or no answer yet
                return False

    wait(cluster, "CoreDNS answering", answers, 30, "coredns")
