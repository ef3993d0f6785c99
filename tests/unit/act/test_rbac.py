"""What the operator and its tenants hold, as rules; tests/integration/kube checks the same on a real authorizer."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from akeso.act import rbac
from akeso.model.api.kinds import CUSTOM_KINDS
from akeso.model.names import GROUP
from akeso.sdk.action import Rule

ROOT = Path(__file__).resolve().parents[3]
OPERATOR = rbac.operator(kind.resource for kind in CUSTOM_KINDS)
READS = {"get", "list", "watch"}


def granted(manifests: Iterable[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Every (group, resource, verb) of all roles."""
    return {
        (group, resource, verb)
        for manifest in manifests if manifest["kind"] in ("Role", "ClusterRole") for rule in manifest["rules"]
        for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]
    }


def test_the_operator_holds_no_mutating_verb_on_anything_but_its_own() -> None:
    writes = {(group, resource) for group, resource, verb in granted(OPERATOR) if verb not in READS}
    assert {group for group, _ in writes} == {GROUP, "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io"}


@pytest.mark.parametrize("what", [
    "impersonate", "escalate", "bind", "*", "secrets", "configmaps", "nodes/proxy", "pods/exec",
    "serviceaccounts/token", "deletecollection",
])
def test_the_operator_never_holds(what: str) -> None:
    assert not [grant for grant in granted(OPERATOR) if what in grant]


def test_the_shipped_manifest_is_what_is_generated() -> None:
    text = (ROOT / "manifests/base/operator-rbac.yaml").read_text()
    assert list(yaml.safe_load_all(text)) == OPERATOR


def test_a_tenant_gets_exactly_what_its_actions_need() -> None:
    rules = (Rule("apps", "deployments", ("get", "patch")), Rule("", "pods/eviction", ("create",)))
    role = next(m for m in rbac.tenant("shop", "fixer", rules) if m["kind"] == "Role")
    assert role["metadata"]["namespace"] == "shop"
    assert granted([role]) == {
        ("apps", "deployments", "get"), ("apps", "deployments", "patch"), ("", "pods/eviction", "create")}


def test_the_operator_may_impersonate_exactly_that_account() -> None:
    role, binding = rbac.impersonator("shop", "fixer")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"], "resourceNames": ["fixer"]}]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "shop"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "akeso", "namespace": "akeso-system"}]


def test_rules_on_nodes_become_a_cluster_role_and_others_do_not() -> None:
    made = rbac.tenant("ops", "nodes", (Rule("", "nodes", ("patch",)), Rule("", "pods", ("delete",))))
    assert granted(m for m in made if m["kind"] == "ClusterRole") == {("", "nodes", "patch")}
    assert ("", "pods", "delete") in granted(m for m in made if m["kind"] == "Role")
    wide = rbac.tenant("ops", "nodes", (Rule("", "pods", ("delete",)),), cluster_wide=True)
    assert granted(m for m in wide if m["kind"] == "ClusterRole") == {("", "pods", "delete")}


def test_secrets_are_read_by_name_only() -> None:
    role, _ = rbac.secret_reader("shop", ["key"])
    assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["key"]}]
