"""Container images without a registry: made from the static busybox of the machine, imported into each node."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .console import ClusterError
from .network import run
from .paths import cache_root
from .state import Cluster, NodeRecord, locked

BUSYBOX = "docker.io/library/busybox:akeso"
PAUSE = "docker.io/library/pause:akeso"
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def base_images() -> Path:
    """The archive with BUSYBOX (sh, httpd, wget, dd, tail, nslookup, …) and PAUSE; built once per busybox."""
    busybox = Path("/bin/busybox").read_bytes()
    digest = hashlib.sha256(busybox + Path(__file__).read_bytes()).hexdigest()[:12]
    target = cache_root() / "images" / f"base-{digest}.tar"
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            _write_archive(target, _layer(busybox))
    return target


def _layer(busybox: bytes) -> bytes:
    applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in {"bin": 0o755, "etc": 0o755, "tmp": 0o1777, "root": 0o700, "www": 0o755}.items():
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for name, text in _FILES.items():
            _add(tar, name, text.encode(), 0o644)
        _add(tar, "bin/busybox", busybox, 0o755)
        for applet in applets:
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, "busybox", 0o777
                tar.addfile(entry)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _write_archive(target: Path, layer: bytes) -> None:
    """Write a docker archive of two images that share one layer."""
    layer_id = hashlib.sha256(layer).hexdigest()
    layer_name = f"{layer_id}/layer.tar"
    manifest = []
    partial = target.with_suffix(".part")
    with tarfile.open(partial, "w") as tar:
        _add(tar, layer_name, layer, 0o644)
        for tag, command in ((BUSYBOX, ["/bin/sh"]), (PAUSE, ["/bin/sleep", "infinity"])):
            config = {
                "architecture": "amd64" if platform.machine() == "x86_64" else "arm64",
                "os": "linux",
                "created": "2026-01-01T00:00:00Z",
                "config": {"Cmd": command, "Env": ["PATH=/bin"], "WorkingDir": "/"},
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_id}"]},
                "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "hack/cluster"}],
            }
            text = json.dumps(config).encode()
            name = f"{hashlib.sha256(text).hexdigest()}.json"
            _add(tar, name, text, 0o644)
            manifest.append({"Config": name, "RepoTags": [tag], "Layers": [layer_name]})
        _add(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)
    partial.replace(target)


def load(cluster: Cluster, archive: Path) -> None:
    """Import a docker or OCI archive into every node (kind's own command on kind)."""
    if not archive.is_file():
        raise ClusterError(
            f"{archive} is no file; make one with: buildah push IMAGE docker-archive:{archive.name}:IMAGE"
        )
    if cluster.kind == "kind":
        run(f"{cluster.bin_folder}/kind", "load", "image-archive", str(archive), "--name", f"akeso-{cluster.name}")
        return
    if cluster.kind != "native":
        raise ClusterError(f"cluster {cluster.name} is of kind {cluster.kind}: hack/cluster cannot load images into it")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda node: load_into(node, archive), cluster.nodes))


def load_into(node: NodeRecord, archive: Path) -> None:
    run("ctr", "--address", node.containerd, "-n", "k8s.io", "images", "import", str(archive))
