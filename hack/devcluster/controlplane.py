"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler as host processes."""

from __future__ import annotations

import json
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import binaries, certs
from .api import Api, wait
from .console import ClusterError, timed
from .procs import alive, kill_records, spawn
from .state import Cluster

_ROLES = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
# The default of 20 requests/s holds the start of the controllers back by 4 s: each asks for a token of its own.
_QUICK_CLIENT = ("--kube-api-qps=500", "--kube-api-burst=1000")


def choose_ports(cluster: Cluster) -> None:
    """Give each role a port that is free now, out of the range that belongs to this cluster's slot."""
    first = cluster.names.first_port()
    free = (port for port in range(first, first + 90) if _is_free(port))
    try:
        cluster.ports = {role: next(free) for role in _ROLES}
    except StopIteration:
        raise ClusterError(f"fewer than {len(_ROLES)} free ports from {first}; run hack/cluster sweep") from None


def free_port(cluster: Cluster) -> int:
    """Another free port of this cluster's range."""
    first = cluster.names.first_port()
    for port in range(first, first + 100):
        if port not in cluster.ports.values() and _is_free(port):
            return port
    raise ClusterError(f"no free port in {first}..{first + 99}; run hack/cluster sweep")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def has_nodes(cluster: Cluster) -> bool:
    return cluster.kind == "native"


def address_for_nodes(cluster: Cluster) -> str:
    """The API server as nodes and host daemons outside the loopback reach it."""
    host = cluster.names.bridge_address if has_nodes(cluster) else "127.0.0.1"
    return f"https://{host}:{cluster.ports['kube-apiserver']}"


def make_certificates(cluster: Cluster) -> None:
    """CA, serving and client certificates, ServiceAccount key and the kubeconfigs of the control plane."""
    pki, names = cluster.pki, cluster.names
    certs.authority(pki, "ca")
    certs.authority(pki, "front-proxy-ca")
    certs.service_account_key(pki)
    dns = ["localhost", "kubernetes"] + [f"kubernetes.default{end}" for end in ("", ".svc", ".svc.cluster.local")]
    serving = [f"DNS:{name}" for name in dns] + [
        f"IP:{address}" for address in ("127.0.0.1", names.kubernetes_service, names.bridge_address)
    ]
    wanted = [
        ("apiserver", "/CN=kube-apiserver", serving, "ca"),
        ("apiserver-kubelet-client", "/CN=kube-apiserver-kubelet-client", [], "ca"),
        ("front-proxy-client", "/CN=front-proxy-client", [], "front-proxy-ca"),
        ("admin", "/O=system:masters/CN=akeso-admin", [], "ca"),
        ("kube-controller-manager", "/CN=system:kube-controller-manager", [], "ca"),
        ("kube-scheduler", "/CN=system:kube-scheduler", [], "ca"),
        ("kube-proxy", "/CN=system:kube-proxy", [], "ca"),
        ("coredns", "/CN=akeso:coredns", [], "ca"),
        ("prometheus", "/CN=akeso:prometheus", [], "ca"),
        ("kwok", "/O=system:masters/CN=akeso-kwok", [], "ca"),
    ]
    # One signer each in sequence: openssl's serial file is not safe for two writers.

    def issue_all(signer: str) -> None:
        for certificate in wanted:
            if certificate[3] == signer:
                certs.issue(pki, *certificate)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(issue_all, ("ca", "front-proxy-ca")))
    cluster.server = f"https://127.0.0.1:{cluster.ports['kube-apiserver']}"
    certs.kubeconfig(pki, "admin", cluster.server, cluster.kubeconfig, f"akeso-{cluster.name}")
    for name in ("kube-controller-manager", "kube-scheduler", "kwok"):
        certs.kubeconfig(pki, name, cluster.server, pki / f"{name}.kubeconfig", cluster.name)
    for name in ("kube-proxy", "coredns", "prometheus"):
        certs.kubeconfig(pki, name, address_for_nodes(cluster), pki / f"{name}.kubeconfig", cluster.name)


def _etcd_flags(cluster: Cluster) -> list[str]:
    client, peer = (f"http://127.0.0.1:{cluster.ports[role]}" for role in ("etcd", "etcd-peer"))
    return [
        f"--data-dir={cluster.folder}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # the cluster is thrown away; never for one that is kept
        "--quota-backend-bytes=4294967296",
    ]


def _audit_policy(path: Path) -> Path:
    rules = [{"level": "Metadata"}]
    document = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
    path.write_text(json.dumps(document))
    return path


def _apiserver_flags(cluster: Cluster) -> list[str]:
    pki, names, port = cluster.pki, cluster.names, cluster.ports["kube-apiserver"]
    flags = [
        f"--etcd-servers=http://127.0.0.1:{cluster.ports['etcd']}",
        f"--secure-port={port}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--cert-dir={pki}/apiserver-made",
        f"--client-ca-file={pki}/ca.crt",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--service-cluster-ip-range={names.service_cidr}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--audit-policy-file={_audit_policy(cluster.folder / 'audit-policy.json')}",
        f"--audit-log-path={cluster.audit_log}",
        "--audit-log-maxsize=4000",  # megabytes: rotation would hide writes from a test that counts them
        "--shutdown-send-retry-after=false",
    ]
    if has_nodes(cluster):
        return [*flags, "--bind-address=0.0.0.0", f"--advertise-address={names.bridge_address}"]
    # A loopback address may not be advertised; without nodes nobody reads the endpoints.
    return [*flags, "--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"]


def _controller_manager_flags(cluster: Cluster) -> list[str]:
    pki = cluster.pki
    config = f"{pki}/kube-controller-manager.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={cluster.ports['kube-controller-manager']}",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--node-monitor-period=2s",
        "--node-monitor-grace-period=20s",
        "--horizontal-pod-autoscaler-sync-period=5s",
        *_QUICK_CLIENT,
    ]


def _scheduler_flags(cluster: Cluster) -> list[str]:
    config = f"{cluster.pki}/kube-scheduler.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={cluster.ports['kube-scheduler']}",
        "--leader-elect=false",
        *_QUICK_CLIENT,
    ]


def etcd_binary() -> str:
    """Debian's etcd, else the one that hack/tools/etcd builds."""
    return shutil.which("etcd") or str(binaries.ensure("etcd") / "etcd")


def start_storage(cluster: Cluster) -> None:
    """Start etcd and the API server; returns at once (the API server waits for etcd by itself)."""
    bin_folder = Path(cluster.bin_folder)
    spawn(cluster, "etcd", [etcd_binary(), *_etcd_flags(cluster)], env={"ETCD_UNSUPPORTED_ARCH": ""})
    spawn(cluster, "kube-apiserver", [str(bin_folder / "kube-apiserver"), *_apiserver_flags(cluster)])


def wait_ready(cluster: Cluster) -> None:
    """Wait for /readyz of the API server."""
    api = Api(cluster.server, cluster.pki)
    wait(cluster, "API server ready", api.ready, 60, "kube-apiserver")


def start_controllers(cluster: Cluster) -> None:
    """Start controller-manager and scheduler; the API server must be ready."""
    bin_folder = Path(cluster.bin_folder)
    flags = {
        "kube-controller-manager": _controller_manager_flags(cluster),
        "kube-scheduler": _scheduler_flags(cluster),
    }
    for role, arguments in flags.items():
        spawn(cluster, role, [str(bin_folder / role), *arguments])


def wait_controllers(cluster: Cluster) -> None:
    """Wait until the namespace `default` has its ServiceAccount: pods can be created from then on."""
    api = Api(cluster.server, cluster.pki)

    def has_account() -> bool:
        try:
            api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
        except OSError:  # 404 is an HTTPError, which is one
            return False
        return True

    wait(cluster, "ServiceAccount default/default", has_account, 60, "kube-controller-manager")


def grant_roles(cluster: Cluster) -> None:
    """The roles of what runs beside the control plane: the API server at kubelets, CoreDNS, Prometheus."""
    api = Api(cluster.server, cluster.pki)
    group = "rbac.authorization.k8s.io"
    path = f"/apis/{group}/v1"
    rules = {
        "akeso:coredns": [
            {
                "apiGroups": [""],
                "resources": ["services", "pods", "namespaces"],
                "verbs": ["list", "watch"],
            },
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
        "akeso:prometheus": [
            {"apiGroups": [""], "resources": ["nodes", "services", "pods"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        ],
    }
    for name, allowed in rules.items():
        api.create(f"{path}/clusterroles", {"metadata": {"name": name}, "rules": allowed})
    bindings = {name: (name, name) for name in rules}
    bindings["akeso:apiserver-kubelet"] = ("system:kubelet-api-admin", "kube-apiserver-kubelet-client")
    for name, (role, user) in bindings.items():
        body = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }
        api.create(f"{path}/clusterrolebindings", body)


def pause_apiserver(cluster: Cluster) -> None:
    """End the API server with SIGKILL; etcd, controllers and nodes stay."""
    kill_records([cluster.proc("kube-apiserver")])
    if "kube-apiserver" not in cluster.paused:
        cluster.paused.append("kube-apiserver")
    cluster.save()


def resume_apiserver(cluster: Cluster) -> None:
    """Start the API server again with the very same command line, and wait until it is ready."""
    record = cluster.proc("kube-apiserver")
    if not alive(record):
        spawn(cluster, "kube-apiserver", record.argv)
    with timed("API server ready again"):
        wait_ready(cluster)
    cluster.paused = [role for role in cluster.paused if role != "kube-apiserver"]
    cluster.save()
