"""The documentation is true: manifests are accepted, commands and options exist, paths and links lead somewhere."""
from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml
from tests.integration.kubectl import Cluster

from akeso.act import registry
from akeso.decide.gates import BEFORE_ACTING
from akeso.ingest.webhook import parse
from akeso.model.api.kinds import CUSTOM_KINDS

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("operator", "actions", "templates", "crds", "manifests", "tests", "hack")
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")] + [
    ROOT / folder / "README.md" for folder in FOLDERS]
MANIFESTS = sorted((ROOT / "manifests").rglob("*.yaml"))
README = (ROOT / "README.md").read_text()
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BIN = ROOT / ".venv/bin"
SUFFIXES = (".py", ".md", ".sql", ".yaml", ".json", ".toml", ".j2")
OFFLINE = re.compile(r"akeso (rbac|actions|eval) ?(?!.*\b[A-Z]{3})")  # not `akeso eval DIR`, which is a pattern


@dataclass(frozen=True)
class Block:
    page: Path
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.text.splitlines()[0][:40]}"


BLOCKS = [Block(page, *found) for page in PAGES for found in FENCE.findall(page.read_text())]
SHELL = [b for b in BLOCKS if b.language in ("sh", "bash")]


def spoken() -> Iterator[tuple[Path, str]]:
    """Every line of a shell block, every inline code, and every command in a comment of a manifest, with its file."""
    for block in BLOCKS:
        if block.language in ("", "sh", "bash"):
            yield from ((block.page, line.split("  #")[0].strip()) for line in block.text.splitlines())
    for page in PAGES:
        yield from ((page, code) for code in re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text())))
    for manifest in MANIFESTS:
        yield from ((manifest, line) for line in re.findall(r"^#   (\S.*)", manifest.read_text(), re.MULTILINE))


def commands(name: str) -> list[tuple[Path, str]]:
    """Each use of that program: the words from its name to the end of the simple command."""
    found = []
    for path, text in spoken():
        for part in re.split(r"\||&&|;|\$\(|\s>|\s&$", text):
            words = re.match(rf"(?:[A-Z_]+=\S+ )*(?:\./)?({name}\b.*)", part.strip())
            if words:
                found.append((path, words[1].rstrip(')"')))
    return found


@cache
def help_of(*command: str) -> str:
    done = run(*command, "--help")
    assert done.returncode == 0, f"{' '.join(command)} --help: {done.stderr[-500:]}"
    return done.stdout + done.stderr


def run(*command: str, stdin: str | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
    """From the root of the repository, with `akeso` on the PATH as the README puts it there."""
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"} | extra
    return subprocess.run(
        command, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    kubectl = Kubectl(cluster.kubeconfig, f"docs-{uuid.uuid4().hex[:8]}")
    kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/part-of=akeso", "--timeout=30s")
    for name in ("akeso-system", kubectl.namespace):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    yield kubectl
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


@dataclass(frozen=True)
class Kubectl:
    kubeconfig: Path
    namespace: str

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        done = run("kubectl", *arguments, stdin=stdin, KUBECONFIG=str(self.kubeconfig))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def accepts(self, text: str) -> str:
        """What the API server says of these documents, each in the namespace it names or in this test's."""
        said = ""
        for document in yaml.safe_load_all(text):
            where = ["-n", document["metadata"].get("namespace", self.namespace)]
            said += self("apply", "--dry-run=server", *where, "-f", "-", stdin=json.dumps(document))
        return said


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_manifest_is_accepted_by_the_api_server(manifest: Path, kubectl: Kubectl) -> None:
    said = kubectl.accepts(manifest.read_text())
    assert said.count("(server dry run)") == len(list(yaml.safe_load_all(manifest.read_text())))


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml"], ids=str)
def test_a_yaml_block_is_accepted_by_the_api_server(block: Block, kubectl: Kubectl) -> None:
    assert "(server dry run)" in kubectl.accepts(block.text)


def test_every_kind_of_ours_has_an_example() -> None:
    texts = [p.read_text() for p in MANIFESTS] + [b.text for b in BLOCKS if b.language == "yaml"]
    shown = {d["kind"] for text in texts for d in yaml.safe_load_all(text)}
    assert {kind.kind for kind in CUSTOM_KINDS} - shown == set()


def test_the_roles_that_the_pages_ask_for_are_accepted_by_the_api_server(kubectl: Kubectl) -> None:
    asked = {text for _, text in commands("akeso rbac") if "-n " in text}
    assert len(asked) >= 3
    for text in asked:
        words = re.sub(r"-n shop\b", f"-n {kubectl.namespace}", text)
        assert "(server dry run)" in kubectl.accepts(run(*shlex.split(words)).stdout)


def test_what_is_applied_can_be_removed_as_the_readme_says(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", str(ROOT / "manifests/base"))
    block = next(b for b in SHELL if b.page.parent == ROOT and "kubectl delete" in b.text)
    for line in block.text.replace("shop", kubectl.namespace).splitlines():
        words = [str(ROOT / w) if (ROOT / w).exists() else w for w in shlex.split(line)]
        assert words[0] == "kubectl"
        assert "(server dry run)" in kubectl(*words[1:], "--dry-run=server")


def test_commands_of_akeso_exist_with_these_options() -> None:
    used = commands("akeso")
    assert len({text.split()[1] for _, text in used if len(text.split()) > 1}) >= 8
    for page, text in used:
        words = text.split()
        if len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
            continue  # the name alone
        said = help_of(str(BIN / "akeso"), words[1])
        missing = [w for w in words[2:] if re.match(r"--?[a-z]", w) and not offers(said, w.split("=")[0])]
        assert missing == [], f"{page.name}: {text}"


@pytest.mark.parametrize("tool", ["demo", "bench", "cluster", "test"])
def test_developer_commands_exist_with_these_options(tool: str) -> None:
    used = [(page, text.split()) for page, text in commands(f"hack/{tool}")]
    assert used
    for page, words in used:
        subcommand = words[1:2] if tool == "cluster" and words[1:] and re.fullmatch(r"[a-z-]+", words[1]) else []
        said = help_of(str(ROOT / "hack" / tool), *subcommand)
        missing = [w for w in words[1:] if w.strip("[]").startswith("--") and not offers(said, w.strip("[]"))]
        assert missing == [], f"{page.name}: {' '.join(words)}"


def offers(said: str, option: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", said) is not None


@pytest.mark.parametrize("command", sorted({t for _, t in commands("akeso") if OFFLINE.match(t)} - {"akeso eval"}))
def test_a_command_that_needs_no_cluster_runs(command: str) -> None:
    done = run(*shlex.split(command))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    codes = re.findall(r"`(?:\./)?([\w.-]+/[\w./-]*|[\w-]+\.(?:py|md))`", FENCE.sub("", text))
    paths = [c for c in codes if Path(c).suffix in SUFFIXES or c.split("/")[0] in {Path(p).name for p in there()}]
    lost = [p for p in paths if not any(f"/{known}".endswith(f"/{p.rstrip('/')}") for known in there())]
    assert [p for p in lost if "akeso.dev/" not in p] == []


@cache
def there() -> frozenset[str]:
    """Every file and folder of the sources, from the root."""
    found = [p for folder in (*FOLDERS, ".ci") for p in (ROOT / folder, *(ROOT / folder).rglob("*"))]
    return frozenset(str(p.relative_to(ROOT)) for p in (*found, *ROOT.glob("*")))


def test_the_tests_that_the_readme_names_are_in_the_files_it_links() -> None:
    section = README.split("## Why it is safe")[1].split("\n## ")[0]
    points = re.findall(r"^- \*\*.*?(?=^- \*\*|^$)", section, re.MULTILINE | re.DOTALL)
    assert len(points) == 6
    for point in points:
        names = re.findall(r"`(test_\w+)`", point)
        files = [ROOT / link for link in re.findall(r"\]\((tests/[^)]+)\)", point)]
        defined = "\n".join(file.read_text() for file in files)
        assert names, point
        assert [n for n in names if f"def {n}(" not in defined] == []


def test_the_readme_is_short_and_its_workflow_is_the_example() -> None:
    assert len(README.splitlines()) <= 250
    shown = yaml.safe_load(next(b.text for b in BLOCKS if b.page == PAGES[0] and b.language == "yaml"))["spec"]
    documents = yaml.safe_load_all((ROOT / "manifests/examples/crash-loops.yaml").read_text())
    example = next(d for d in documents if d["kind"] == "Workflow")["spec"]
    for field in ("agentRef", "serviceAccountName", "triggers"):
        assert shown[field] == example[field]
    assert shown["steps"][0] == example["steps"][0]


def test_the_readme_names_every_action_and_counts_the_gates() -> None:
    assert [name for name in registry.load().names() if f"`{name}`" not in README] == []
    numbers = {12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen"}
    assert f"{numbers[len(BEFORE_ACTING)]} gates" in README


def test_the_architecture_shows_the_layers_that_are_enforced() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    shown = next(b.text for b in BLOCKS if b.page.name == "ARCHITECTURE.md" and "testing >" in b.text)
    assert [part.strip() for part in " ".join(shown.split()).split(">")] == layers
    assert len(page.splitlines()) <= 110, "one page"


def test_the_sample_alert_is_what_the_webhook_takes() -> None:
    text = (ROOT / "manifests/examples/first-run/alert.json").read_text().replace("TIME", "2026-11-20T12:00:00Z")
    for status in ("firing", "resolved"):
        taken = parse(text.replace("firing", status).encode())
        assert [alert.status for alert in taken.alerts] == [status]
        assert taken.rejected == ()


@pytest.mark.skipif(shutil.which("amtool") is None, reason="needs amtool: apt-get install prometheus-alertmanager")
def test_alertmanager_takes_its_example(tmp_path: Path) -> None:
    secret = yaml.safe_load((ROOT / "manifests/examples/alertmanager.yaml").read_text())
    file = tmp_path / "alertmanager.yaml"
    file.write_text(secret["stringData"]["alertmanager.yaml"])
    done = run("amtool", "check-config", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "credentials_file" in file.read_text()
