"""The README's section 'Your own cluster', command by command as written, on the given cluster."""
from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hack.rig.install import ROOT
from tests.e2e.staging import until

pytestmark = pytest.mark.e2e

SECTION = (ROOT / "README.md").read_text().split("## Your own cluster")[1].split("\n## ")[0]
COMMANDS = [line for block in re.findall(r"^```bash\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()]
MARK = "@@done"


@dataclass
class Shell:
    """One bash: what a command sets holds for the next. `said` is each command with what it printed."""

    process: subprocess.Popen[str]
    said: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, command: str) -> str:
        """What it printed, standard error included. Fails the test where it ends with another status than 0."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\necho {MARK} $?\n")
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            text, mark, status = line.partition(MARK)
            lines += [text] if text else []
            if mark:
                break
        else:
            raise AssertionError(f"the shell ended at: {command}\n{''.join(lines)}")
        printed = "".join(lines)
        self.said.append((command, printed))
        assert status.strip() == "0", f"$ {command}\n{printed}"
        return printed

    def printed_by(self, start: str) -> str:
        return "".join(printed for command, printed in self.said if command.startswith(start))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """bash in the root of the repository; the operator that it starts is ended with it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AKESO_")}
    environment |= {"KUBECONFIG": os.environ["AKESO_TEST_KUBECONFIG"], "AKESO_DATA_DIR": str(tmp_path / "data")}
    kubectl = ["kubectl", "--kubeconfig", environment["KUBECONFIG"]]
    subprocess.run([*kubectl, "wait", "--for=delete", "namespace/shop", "--timeout=60s"], check=False, timeout=90)
    pipe = subprocess.PIPE
    with subprocess.Popen(["bash"], cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT,
                          text=True, start_new_session=True) as process:
        shell = Shell(process)
        try:
            yield shell
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # the operator, which stops its Postgres; bash heeds no SIGTERM
            process.kill()
    until("the operator's end", lambda: not (tmp_path / "data/postgres/postmaster.pid").exists(), 30)
    if "created" in shell.printed_by("kubectl create namespace shop"):  # else it is somebody's
        subprocess.run([*kubectl, "delete", "namespace", "shop", "--wait=false"], check=False, timeout=60)


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


def here(command: str, port: str, image: str, folder: Path) -> str:
    """Nothing is changed but the port, which may be taken, the folder of what is written, which must not stay, and on
    nodes without a registry the image."""
    if "checkout.yaml" in command and image:
        path = "manifests/examples/first-run/checkout.yaml"
        return f"sed 's|image: busybox|image: {image}|' {path} | " + command.replace(path, "-")
    return command.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace(".out", str(folder))


def local_image(kubeconfig: str) -> str:
    """The busybox that hack/cluster puts on its nodes, or empty where the nodes can pull."""
    names = "jsonpath={.items[*].status.images[*].names[*]}"
    command = ["kubectl", "--kubeconfig", kubeconfig, "get", "nodes", "-o", names]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    return next((name for name in found if name.endswith("busybox:akeso")), "")


@pytest.mark.skipif("AKESO_TEST_KUBECONFIG" not in os.environ, reason="hack/test gives the cluster")
def test_the_readme_s_own_cluster_section_works_as_written(shell: Shell, tmp_path: Path) -> None:
    assert len(COMMANDS) > 25
    port, image = free_port(), local_image(os.environ["AKESO_TEST_KUBECONFIG"])
    for command in COMMANDS:
        shell(here(command, port, image, tmp_path))
    assert "✗" not in shell.printed_by("akeso doctor")
    simulated = shell.printed_by("akeso simulate")
    assert "would roll Deployment/checkout back" in simulated
    assert "NO " not in simulated
    assert '"accepted":1,"matched":1' in shell.printed_by("curl --silent --fail-with-body")
    story = shell.printed_by("akeso why")
    assert "Succeeded: rollout complete" in story
    assert "as ServiceAccount shop:akeso-remediator" in story
    assert "verified; the alert resolved" in story
