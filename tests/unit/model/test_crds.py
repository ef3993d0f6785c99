"""The generated CRDs keep the API conventions (design/kubernetes-api.md 1.7), and are what is on disk."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from akeso.model.api import crd
from akeso.model.api.kinds import CUSTOM_KINDS

ROOT = Path(__file__).resolve().parents[3]
FILES = dict(crd.files())
CRDS = {path: yaml.safe_load(text) for path, text in FILES.items() if path.endswith(".yaml")}


def root_schema(definition: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def walk(path: str, node: dict[str, Any], *, in_list: bool = False) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(path, schema, below a list) of every schema node."""
    yield path, node, in_list
    for name, child in node.get("properties", {}).items():
        yield from walk(f"{path}.{name}", child, in_list=in_list)
    if "items" in node:
        yield from walk(f"{path}[]", node["items"], in_list=True)
    if isinstance(node.get("additionalProperties"), dict):
        yield from walk(f"{path}{{}}", node["additionalProperties"], in_list=in_list)


NODES = [
    (path, node, in_list)
    for definition in CRDS.values()
    for path, node, in_list in walk(definition["spec"]["names"]["kind"], root_schema(definition))
    if not path.endswith(".metadata")  # the API server owns its schema
]


def test_every_kind_has_a_definition_with_many_fields() -> None:
    assert len(CRDS) == len(CUSTOM_KINDS) == 6
    assert len(NODES) > 300


def test_every_field_has_a_description() -> None:
    assert [p for p, n, _ in NODES if len(n.get("description", "")) < 3] == []


def test_every_string_is_bounded() -> None:
    unbounded = [
        p for p, n, _ in NODES
        if n.get("type") == "string" and not ("maxLength" in n or "enum" in n or n.get("format") == "date-time")]
    assert unbounded == []


def test_every_list_and_map_is_bounded() -> None:
    assert [p for p, n, _ in NODES if n.get("type") == "array" and "maxItems" not in n] == []
    assert [p for p, n, _ in NODES if "additionalProperties" in n and "maxProperties" not in n] == []


def test_every_list_says_how_it_merges() -> None:
    assert [p for p, n, _ in NODES if n.get("type") == "array" and "x-kubernetes-list-type" not in n] == []


def test_every_integer_is_bounded_below_and_has_a_format() -> None:
    assert [p for p, n, _ in NODES if n.get("type") == "integer" and not {"minimum", "format"} <= n.keys()] == []


def test_there_is_no_default_but_that_of_the_whole_status() -> None:
    assert [p for p, n, in_list in NODES if in_list and "default" in n] == []
    defaults = {p: n["default"] for p, n, _ in NODES if "default" in n}
    assert defaults == {f"{k.kind}.status": {"observedGeneration": -1} for k in CUSTOM_KINDS}


def test_schemas_are_structural() -> None:
    for path, node, _ in NODES:
        assert not {"anyOf", "allOf", "oneOf", "$ref", "$defs", "title", "const", "nullable"} & node.keys(), path
        assert isinstance(node.get("type"), str), path
        assert set(node.get("required", ())) <= node.get("properties", {}).keys(), path


def test_only_the_arguments_of_an_action_are_free_form() -> None:
    free = {p for p, n, _ in NODES if n.get("x-kubernetes-preserve-unknown-fields")}
    lists = [f"{kind}.spec.{part}" for kind in ("Workflow", "ClusterWorkflow") for part in ("steps", "finally")]
    assert free == {f"{steps}[].action.with" for steps in lists}


def test_the_definitions_are_small_enough_for_client_side_apply() -> None:
    sizes = {path: len(FILES[path].encode()) for path in CRDS}
    assert {p: s for p, s in sizes.items() if s >= 60_000} == {}
    assert sum(sizes.values()) < 262_144


def test_short_names_are_unique_and_never_the_own_plural() -> None:
    names = [n for d in CRDS.values() for n in d["spec"]["names"]["shortNames"]]
    assert len(set(names)) == len(names)
    assert not {k.plural for k in CUSTOM_KINDS} & set(names)
    assert not {"wf", "cwf", "rr", "tr", "pr", "ks"} & set(names)  # taken by others (1.3)


def test_columns_and_selectors_point_at_fields_of_the_schema() -> None:
    for definition in CRDS.values():
        version = definition["spec"]["versions"][0]
        fields = {p.partition(".")[2] for p, _, _ in walk("", root_schema(definition))}
        paths = [c["jsonPath"] for c in version["additionalPrinterColumns"] + version["selectableFields"]]
        for path in paths:
            field = path.lstrip(".").partition("[?")[0].removesuffix(".labels.alertname")
            assert field in fields or field.startswith("metadata."), path


def test_generating_twice_gives_the_same_bytes() -> None:
    assert dict(crd.files()) == FILES


def test_verify_accepts_what_is_checked_in() -> None:
    done = subprocess.run([ROOT / "hack/verify"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_verify_names_the_drifted_file_and_update_repairs_it(tmp_path: Path) -> None:
    for folder in ("hack/generate", "operator", "crds", "actions", "templates", "manifests"):
        if (ROOT / folder).is_dir():
            subprocess.run(["cp", "-r", "--parents", folder, tmp_path], cwd=ROOT, check=True, timeout=60)
    for script in ("hack/update", "hack/verify"):
        (tmp_path / script).write_bytes((ROOT / script).read_bytes())
        (tmp_path / script).chmod(0o755)
    victim = tmp_path / "crds/approvals.akeso.dev.yaml"
    victim.write_text(victim.read_text().replace("kind: Approval", "kind: Forged"))
    (tmp_path / "crds/left-behind.yaml").write_text("old")

    refused = run(tmp_path, "hack/verify")
    assert refused.returncode == 1
    assert "crds/approvals.akeso.dev.yaml: differs" in refused.stdout
    assert "-    kind: Forged" in refused.stdout
    assert "crds/left-behind.yaml: nobody generates it" in refused.stdout
    assert "run hack/update" in refused.stderr

    assert "\n2 of" in run(tmp_path, "hack/update").stdout
    assert run(tmp_path, "hack/verify").returncode == 0
    assert victim.read_text() == FILES["crds/approvals.akeso.dev.yaml"]


def run(where: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, where / script], cwd=where, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("kind", [k.kind for k in CUSTOM_KINDS])
def test_required_fields_are_those_without_a_python_default(kind: str) -> None:
    row = next(k for k in CUSTOM_KINDS if k.kind == kind)
    required = [f.alias for f in row.spec.model_fields.values() if f.is_required()]
    assert sorted(crd.schema_of(row.spec).get("required", [])) == sorted(str(r) for r in required)
