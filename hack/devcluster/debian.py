"""Debian packages: installed only when missing, and never left running as services on their default ports."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .console import ClusterError, say, timed
from .state import locked

# package -> a file that proves it is there
NATIVE = {
    "etcd-server": "/usr/bin/etcd",
    "containerd": "/usr/bin/containerd",
    "runc": "/usr/sbin/runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "nftables": "/usr/sbin/nft",
    "iptables": "/usr/sbin/iptables",
    "iproute2": "/sbin/ip",
    "conntrack": "/usr/sbin/conntrack",
    "busybox-static": "/bin/busybox",
    "openssl": "/usr/bin/openssl",
    "util-linux": "/usr/bin/nsenter",
}
CONTROL_PLANE = {name: NATIVE[name] for name in ("etcd-server", "openssl")}
MONITORING = {"prometheus": "/usr/bin/prometheus", "prometheus-alertmanager": "/usr/bin/prometheus-alertmanager"}
POLICY = Path("/usr/sbin/policy-rc.d")


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Forbid maintainer scripts to start daemons; an existing policy of the machine comes back untouched."""
    kept = POLICY.with_name("policy-rc.d.akeso-kept")
    existed = POLICY.exists()
    if existed:
        shutil.copy2(POLICY, kept)
    try:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
        yield
    finally:
        if existed:
            kept.replace(POLICY)
        else:
            POLICY.unlink(missing_ok=True)


def ensure(packages: dict[str, str]) -> None:
    """Install what is missing. Without root or apt a missing package is a ClusterError naming the command."""
    missing = [name for name, proof in packages.items() if not Path(proof).exists()]
    if not missing:
        return
    command = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ClusterError(f"Debian packages are missing: {', '.join(missing)}; as root: {command}")
    with locked(Path("/run/akeso-apt.lock")), _services_stay_off(), timed(f"installed {' '.join(missing)}"):
        say(f"installing Debian packages: {' '.join(missing)}")
        _apt("install", "-y", "--no-install-recommends", *missing)


def _apt(*arguments: str) -> None:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"]
    for command in ([*apt, "update"], [*apt, *arguments]):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise ClusterError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
