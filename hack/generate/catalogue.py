"""Everything that is generated, in one list.

To generate something more: a module in this folder with `OWNS` (globs below the repository root that hold nothing
but generated files) and `files() -> Iterator[(path, text)]`, and its name in GENERATORS.
"""
from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from generate import crds, rbac

ROOT = Path(__file__).resolve().parents[2]
GENERATORS = (crds, rbac)


def expected() -> dict[str, str]:
    """path below ROOT → text, over all generators."""
    texts: dict[str, str] = {}
    for generator in GENERATORS:
        for path, text in generator.files():
            if path in texts:
                raise SystemExit(f"{path} is generated twice; the second time by {generator.__name__}")
            texts[path] = text
    return texts


def present() -> set[str]:
    """Files on disk that lie where only generated ones may."""
    globs = [glob for generator in GENERATORS for glob in generator.OWNS]
    return {p.relative_to(ROOT).as_posix() for glob in globs for p in ROOT.glob(glob) if p.is_file()}


def drift() -> Iterator[tuple[str, str | None, str | None]]:
    """(path, text on disk, text as generated) of every file that differs; None where there is none."""
    wanted = expected()
    for path in sorted(wanted.keys() | present()):
        file = ROOT / path
        on_disk = file.read_text() if file.is_file() else None
        if on_disk != wanted.get(path):
            yield path, on_disk, wanted.get(path)


def diff(path: str, on_disk: str | None, generated: str | None) -> list[str]:
    """Unified diff: what `hack/update` would change."""
    old, new = (on_disk or "").splitlines(), (generated or "").splitlines()
    return list(difflib.unified_diff(old, new, f"{path} (on disk)", f"{path} (generated)", lineterm=""))
