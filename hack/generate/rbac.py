"""manifests/base/operator-rbac.yaml: what the operator itself may do, from the kinds that it reads and owns."""
from __future__ import annotations

from collections.abc import Iterator

import yaml

from akeso.act.rbac import operator
from akeso.model.api.kinds import CUSTOM_KINDS

OWNS = ("manifests/base/operator-rbac.yaml",)
_HEADER = "# Generated from operator/akeso/act/rbac.py by hack/update. Do not edit.\n"


def files() -> Iterator[tuple[str, str]]:
    manifests = operator(kind.resource for kind in CUSTOM_KINDS)
    yield OWNS[0], _HEADER + yaml.safe_dump_all(manifests, sort_keys=False, width=120)
