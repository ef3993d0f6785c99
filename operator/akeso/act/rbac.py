"""RBAC as plain objects, generated: what the operator holds, and what a Workflow's ServiceAccount needs.

The operator reads. Its only writes are its own kinds, Events and reviews; every change to a workload is made as a
tenant's ServiceAccount, which the tenant lets it impersonate by name (design/security.md B.2).
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from akeso.model.names import GROUP
from akeso.model.objects import KINDS, Kind
from akeso.sdk.action import Rule

Manifest = dict[str, Any]

OPERATOR_NAMESPACE = "akeso-system"
OPERATOR_NAME = "akeso"
_API = "rbac.authorization.k8s.io/v1"
_RBAC_GROUP = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
_CREATED_BY_US = ("workflowruns", "approvals")  # the other kinds are written by people


def operator(
    own_kinds: Iterable[Kind], *, namespace: str = OPERATOR_NAMESPACE, name: str = OPERATOR_NAME,
) -> list[Manifest]:
    """ServiceAccount, ClusterRole and binding of the operator. `own_kinds`: the custom resources."""
    return [
        _named("v1", "ServiceAccount", name, namespace),
        {**_named(_API, "ClusterRole", name), "rules": _operator_rules(own_kinds)},
        _binding(name, "ClusterRole", name, "", [_account(namespace, name)]),
    ]


def tenant(
    namespace: str, service_account: str, rules: Sequence[Rule], *, operator_namespace: str = OPERATOR_NAMESPACE,
    operator_name: str = OPERATOR_NAME, cluster_wide: bool = False,
) -> list[Manifest]:
    """A ServiceAccount that may do what `rules` (`registry.rules_for(names)`) say and the operator may impersonate.

    Rules on cluster-scoped resources go into a ClusterRole; with `cluster_wide` all do (for a ClusterWorkflow).
    """
    name = f"akeso-{service_account}"
    subject = [_account(namespace, service_account)]
    wide = [r for r in rules if cluster_wide or r.resource.split("/")[0] in _CLUSTER_SCOPED]
    local = [r for r in rules if r not in wide]
    made = [_named("v1", "ServiceAccount", service_account, namespace)]
    if local:
        made += [
            {**_named(_API, "Role", name, namespace), "rules": _merged(local)},
            _binding(name, "Role", name, namespace, subject),
        ]
    if wide:
        everywhere = f"akeso-{namespace}-{service_account}"
        made += [
            {**_named(_API, "ClusterRole", everywhere), "rules": _merged(wide)},
            _binding(everywhere, "ClusterRole", everywhere, "", subject),
        ]
    return made + impersonator(
        namespace, service_account, operator_namespace=operator_namespace, operator_name=operator_name)


def impersonator(
    namespace: str, service_account: str, *, operator_namespace: str = OPERATOR_NAMESPACE,
    operator_name: str = OPERATOR_NAME,
) -> list[Manifest]:
    """Lets the operator act as exactly that ServiceAccount and no other."""
    name = f"akeso-impersonate-{service_account}"
    rule = _rule([""], ["serviceaccounts"], ["impersonate"], [service_account])
    return [
        {**_named(_API, "Role", name, namespace), "rules": [rule]},
        _binding(name, "Role", name, namespace, [_account(operator_namespace, operator_name)]),
    ]


def secret_reader(
    namespace: str, secrets: Sequence[str], *, operator_namespace: str = OPERATOR_NAMESPACE,
    operator_name: str = OPERATOR_NAME,
) -> list[Manifest]:
    """Lets the operator get those Secrets by name (a model endpoint's key). It can never list or watch any."""
    name = "akeso-read-secrets"
    return [
        {**_named(_API, "Role", name, namespace), "rules": [_rule([""], ["secrets"], ["get"], sorted(secrets))]},
        _binding(name, "Role", name, namespace, [_account(operator_namespace, operator_name)]),
    ]


def _operator_rules(own_kinds: Iterable[Kind]) -> list[Manifest]:
    own = sorted(kind.plural for kind in own_kinds)
    reads = [Rule(kind.group, kind.plural, _READ) for kind in KINDS]
    return [
        *_merged([*reads, Rule("", "pods/log", ("get",))]),
        _rule(["apiextensions.k8s.io"], ["customresourcedefinitions"], _READ),
        _rule([GROUP], own, [*_READ, "patch"]),  # patch: finalizers
        _rule([GROUP], [f"{plural}/status" for plural in own], ["get", "patch", "update"]),
        _rule([GROUP], [plural for plural in own if plural in _CREATED_BY_US], ["create", "delete"]),
        _rule(["events.k8s.io"], ["events"], ["create", "patch"]),
        _rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        _rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
    ]


def _merged(rules: Sequence[Rule]) -> list[Manifest]:
    """As few rules as say the same: resources of one group with the same verbs together."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for rule in rules:
        verbs.setdefault((rule.group, rule.resource), set()).update(rule.verbs)
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), found in sorted(verbs.items()):
        together.setdefault((group, tuple(sorted(found))), []).append(resource)
    return [_rule([group], resources, found) for (group, found), resources in together.items()]


def _rule(
    groups: Sequence[str], resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = (),
) -> Manifest:
    rule: Manifest = {"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)}
    return rule | ({"resourceNames": list(names)} if names else {})


def _binding(name: str, role: str, role_name: str, namespace: str, subjects: Sequence[Mapping[str, str]]) -> Manifest:
    return {
        **_named(_API, f"{role}Binding", name, namespace),
        "roleRef": {"apiGroup": _RBAC_GROUP, "kind": role, "name": role_name}, "subjects": [dict(s) for s in subjects],
    }


def _account(namespace: str, name: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _named(api_version: str, kind: str, name: str, namespace: str = "") -> Manifest:
    meta: Manifest = {"name": name, "labels": {"app.kubernetes.io/part-of": "akeso"}}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


_CLUSTER_SCOPED = frozenset(kind.plural for kind in KINDS if not kind.namespaced)
