"""Native nodes: containerd, kubelet and kube-proxy of each in a network namespace of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from . import certs, cgroups, images
from .api import Api, wait
from .network import inside, run
from .procs import spawn
from .state import Cluster, NodeRecord

CNI_BIN = "/usr/lib/cni"


def plan(cluster: Cluster, count: int) -> None:
    """Record the nodes before anything of them exists, so that a crash leaves nothing unnamed."""
    names = cluster.names
    cluster.nodes = [
        NodeRecord(names.node(i), i, names.node_address(i), names.netns(i), f"{names.run_folder}/n{i}/containerd.sock")
        for i in range(1, count + 1)
    ]
    cluster.save()


def home(cluster: Cluster, node: NodeRecord) -> Path:
    """The node's files on disk."""
    return cluster.folder / f"n{node.index}"


def _sockets(cluster: Cluster, node: NodeRecord) -> Path:
    return cluster.names.run_folder / f"n{node.index}"


def _snapshotter(cluster: Cluster) -> str:
    """overlayfs where the state folder's file system can carry it, else plain copies."""
    base = cluster.folder / "overlay-probe"
    parts = {name: base / name for name in ("lower", "upper", "work", "merged")}
    for part in parts.values():
        part.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, str(parts["merged"])]
    if subprocess.run(command, capture_output=True).returncode != 0:
        return "native"
    run("umount", str(parts["merged"]))
    return "overlayfs"


def _write_cni(cluster: Cluster, node: NodeRecord) -> None:
    folder = home(cluster, node) / "cni"
    folder.mkdir(parents=True, exist_ok=True)
    subnet = cluster.names.node_pod_cidr(node.index)
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(home(cluster, node) / "ipam"),
            "ranges": [[{"subnet": subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    document = {"cniVersion": "1.0.0", "name": node.netns, "plugins": [bridge, portmap]}
    (folder / "10-akeso.conflist").write_text(json.dumps(document, indent=1))


def _containerd_config(cluster: Cluster, node: NodeRecord, snapshotter: str) -> str:
    folder, sockets = home(cluster, node), _sockets(cluster, node)
    return f"""version = 2
root = "{folder}/containerd"
state = "{sockets}/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{node.containerd}"
[ttrpc]
  address = "{node.containerd}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  stream_server_address = "{node.address}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_BIN}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


def _kubelet_config(cluster: Cluster, node: NodeRecord, cgroup: str) -> dict[str, object]:
    folder, pki = home(cluster, node), cluster.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{node.containerd}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True, "cacheTTL": "10s"},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/{node.name}.crt",
        "tlsPrivateKeyFile": f"{pki}/{node.name}.key",
        "readOnlyPort": 0,
        "clusterDomain": "cluster.local",
        "clusterDNS": [cluster.names.bridge_address],
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "enforceNodeAllocatable": ["pods"],
        "podLogsDir": f"{folder}/pod-logs",
        "volumePluginDir": f"{folder}/volume-plugins",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "4s",
        "nodeLeaseDurationSeconds": 10,
        "syncFrequency": "10s",
    }


def _proxy_config(cluster: Cluster, node: NodeRecord) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": cluster.names.pod_cidr,
        "detectLocalMode": "ClusterCIDR",
        "hostnameOverride": node.name,
        "clientConnection": {"kubeconfig": f"{cluster.pki}/kube-proxy.kubeconfig"},
        "conntrack": {"maxPerCore": 0},
        "nftables": {"minSyncPeriod": "100ms"},
    }


def make_certificates(cluster: Cluster, server: str) -> None:
    """One certificate per node: client of the API server as system:node:NAME, and server of its kubelet."""
    for node in cluster.nodes:
        subject = f"/O=system:nodes/CN=system:node:{node.name}"
        certs.issue(cluster.pki, node.name, subject, [f"DNS:{node.name}", f"IP:{node.address}"])
        certs.kubeconfig(cluster.pki, node.name, server, cluster.pki / f"{node.name}.kubeconfig", cluster.name)


def start_runtimes(cluster: Cluster) -> None:
    """Start every node's containerd and import the base images; needs the network namespaces only."""
    snapshotter = _snapshotter(cluster)
    for node in cluster.nodes:
        _write_cni(cluster, node)
        _sockets(cluster, node).mkdir(parents=True, exist_ok=True)
        config = home(cluster, node) / "containerd.toml"
        config.write_text(_containerd_config(cluster, node, snapshotter))
        spawn(cluster, f"containerd-{node.name}", [*inside(node.netns), "containerd", "--config", str(config)])
    for node in cluster.nodes:
        probe = ["ctr", "--address", node.containerd, "--connect-timeout", "1s", "version"]

        def answers(command: list[str] = probe) -> bool:
            return subprocess.run(command, capture_output=True, timeout=20).returncode == 0

        wait(cluster, f"containerd of {node.name}", answers, 30, f"containerd-{node.name}")
    images.load(cluster, images.base_images())


def start_kubelets(cluster: Cluster) -> None:
    """Start kubelet and kube-proxy of every node; the API server must be ready."""
    for node in cluster.nodes:
        folder = home(cluster, node)
        config, proxy = folder / "kubelet.json", folder / "kube-proxy.json"
        config.write_text(
            json.dumps(_kubelet_config(cluster, node, cgroups.create(cluster.names, node.index)), indent=1)
        )
        proxy.write_text(json.dumps(_proxy_config(cluster, node), indent=1))
        flags = [
            f"--config={config}",
            f"--kubeconfig={cluster.pki}/{node.name}.kubeconfig",
            f"--root-dir={folder}/kubelet",
            f"--cert-dir={folder}/kubelet-made",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
        ]
        prefix = inside(node.netns)
        spawn(cluster, f"kubelet-{node.name}", [*prefix, f"{cluster.bin_folder}/kubelet", *flags])
        spawn(cluster, f"kube-proxy-{node.name}", [*prefix, f"{cluster.bin_folder}/kube-proxy", f"--config={proxy}"])


def wait_ready(cluster: Cluster) -> None:
    """Wait until every node reports Ready."""
    api = Api(cluster.server, cluster.pki)
    for node in cluster.nodes:

        def ready(name: str = node.name) -> bool:
            try:
                conditions = api.request("GET", f"/api/v1/nodes/{name}")["status"].get("conditions", [])
            except OSError:
                return False
            return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

        wait(cluster, f"node {node.name} Ready", ready, 90, f"kubelet-{node.name}")
