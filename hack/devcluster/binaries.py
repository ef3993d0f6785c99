"""Go binaries: built once from the modules below hack/tools into the user's cache, keyed by version.

The version is pinned in each module's go.mod and nowhere else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .console import ClusterError, say
from .paths import TOOLS, cache_root
from .state import locked

_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")


@dataclass(frozen=True, slots=True)
class Tool:
    """One tools module: the module whose version is pinned, the packages to build (binary -> package), link flags."""

    module: str
    packages: dict[str, str]
    ldflags: str = ""


_KUBE_VERSION = "k8s.io/component-base/version"
TOOLS_BY_NAME = {
    "kubernetes": Tool(
        "k8s.io/kubernetes",
        {name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES},
        # Without these `kubectl version` and the API server's /version lie.
        f"-X {_KUBE_VERSION}.gitVersion={{version}} -X {_KUBE_VERSION}.gitMajor={{major}} "
        f"-X {_KUBE_VERSION}.gitMinor={{minor}} -X {_KUBE_VERSION}.gitTreeState=clean",
    ),
    "coredns": Tool("github.com/coredns/coredns", {"coredns": "."}),
    "etcd": Tool("go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}),
    "kind": Tool("sigs.k8s.io/kind", {"kind": "sigs.k8s.io/kind"}),
    "kwok": Tool("sigs.k8s.io/kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok", "kwok-stages": "./stages"}),
    "toxiproxy": Tool(
        "github.com/Shopify/toxiproxy/v2", {"toxiproxy-server": "github.com/Shopify/toxiproxy/v2/cmd/server"}
    ),
}


def version(name: str) -> str:
    """The version that hack/tools/NAME/go.mod pins, with its leading v."""
    text = (TOOLS / name / "go.mod").read_text()
    match = re.search(rf"^\s*(?:require )?{re.escape(TOOLS_BY_NAME[name].module)} (v\S+)", text, re.MULTILINE)
    if match is None:
        raise ClusterError(f"hack/tools/{name}/go.mod does not require {TOOLS_BY_NAME[name].module}")
    return match.group(1)


def folder(name: str) -> Path:
    """Where the binaries of a tool are, or will be."""
    return cache_root() / "bin" / f"{name}-{version(name)}"


def ensure(name: str) -> Path:
    """Folder with the tool's binaries; builds them when missing. Two callers at once build once."""
    target = folder(name)
    if target.is_dir():
        return target
    with locked(cache_root() / "bin" / f".{target.name}.lock"):
        if not target.is_dir():
            _build(name, target)
    return target


def _build(name: str, target: Path) -> None:
    if shutil.which("go") is None:
        raise ClusterError(f"building {name} needs Go (go.mod of hack/tools/{name} says which); put `go` on the PATH")
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    started = time.monotonic()
    say(f"building {name} {version(name)} from source, once (kept in {target})")
    for binary, packages in _batches(name, partial):
        _go_build(name, binary, packages, started)
    partial.replace(target)
    say(f"built {name} in {time.monotonic() - started:.0f} s")


def _batches(name: str, partial: Path) -> list[tuple[Path, list[str]]]:
    """One `go build` for all packages where their last path element is the wanted name, else one each."""
    packages = TOOLS_BY_NAME[name].packages
    if all(package.rpartition("/")[2] == binary for binary, package in packages.items()):
        return [(Path(f"{partial}{os.sep}"), list(packages.values()))]
    return [(partial / binary, [package]) for binary, package in packages.items()]


def _go_build(name: str, output: Path, packages: list[str], started: float) -> None:
    number = version(name)
    major, minor = number.lstrip("v").split(".")[:2]
    flags = "-s -w " + TOOLS_BY_NAME[name].ldflags.format(version=number, major=major, minor=minor)
    out = f"{output}{os.sep}" if output.is_dir() else str(output)
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags.strip(), "-o", out, *packages]
    env = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    log = cache_root() / "bin" / f".{name}.log"
    with (
        log.open("wb") as handle,
        subprocess.Popen(command, cwd=TOOLS / name, env=env, stdout=handle, stderr=handle) as go,
    ):
        try:
            while True:
                try:
                    go.wait(timeout=15)
                    break
                except subprocess.TimeoutExpired:
                    say(f"still building {name} ({time.monotonic() - started:.0f} s)")
        except BaseException:
            go.terminate()
            raise
    if go.returncode != 0:
        raise ClusterError(f"building {name} failed; {log} ends with:\n{log.read_text(errors='replace')[-2000:]}")
