"""Approving is a verb (design/kubernetes-api.md 1.8): who may answer, in whose name, and that the operator may not."""
from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.kubectl import Cluster, Kubectl, merge

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "manifests/base/approval-policy.yaml"
CRD = ROOT / "crds/approvals.akeso.dev.yaml"
APPROVAL = next(
    o for o in yaml.safe_load_all((ROOT / "tests/unit/model/demo.yaml").read_text()) if o["kind"] == "Approval")
OPERATOR = "system:serviceaccount:akeso-system:akeso"
EDIT = ["get", "list", "watch", "create", "update", "patch"]


class People(Kubectl):
    """kubectl as different users in one namespace: alice may approve, bob may only edit, the operator may do both."""

    def allow(self, user: str, verbs: list[str]) -> None:
        name = f"test-{user.rpartition(':')[2]}"
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
                "rules": [{"apiGroups": ["akeso.dev"], "resources": ["approvals"], "verbs": verbs}]}
        binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                   "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]}
        self.ok("apply", "-f", "-", body={"apiVersion": "v1", "kind": "List", "items": [role, binding]})

    def ask(self, user: str = OPERATOR, **spec: Any) -> str:
        return self.create(self.question(**spec), user=user)

    def question(self, **spec: Any) -> dict[str, Any]:
        obj: dict[str, Any] = copy.deepcopy(APPROVAL)
        obj["metadata"] = {"name": f"a-{uuid.uuid4().hex[:8]}", "namespace": self.namespace}
        obj["spec"] |= spec
        return obj


def answer(approval: str, decided_by: str, decision: str = "Approved") -> tuple[str, ...]:
    return merge(approval, {"decision": decision, "decidedBy": decided_by})


@pytest.fixture(scope="module")
def people(cluster: Cluster) -> Iterator[People]:
    namespace = f"approval-{uuid.uuid4().hex[:8]}"
    people = People(cluster.kubeconfig, namespace)
    people.ok("create", "namespace", namespace)
    people.ok("apply", "-f", str(CRD))
    people.ok("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRD))
    people.ok("apply", "-f", str(POLICY))
    people.allow("alice", [*EDIT, "approve"])
    people.allow("bob", EDIT)
    people.allow(OPERATOR, [*EDIT, "approve"])  # even with the verb it may not answer
    wait_until_enforced(people)
    yield people
    people.run("delete", "namespace", namespace, "--wait=false")


def wait_until_enforced(people: People) -> None:
    """The API server compiles a new policy within a second or two; a dry run shows when it does."""
    deadline = time.monotonic() + 30
    born = people.question(decision="Approved", decidedBy="admin")
    while people.run("create", "--dry-run=server", "-f", "-", body=born).returncode == 0:
        assert time.monotonic() < deadline, "the API server did not enforce the policy within 30 s"
        time.sleep(0.1)


def test_bob_cannot_answer_in_the_name_of_alice(people: People) -> None:
    refused = people.refused(*answer(people.ask(), "alice"), user="bob")
    assert "denied request: `spec.decidedBy` must be bob, the user you are logged in as" in refused


def test_bob_cannot_answer_without_the_verb(people: People) -> None:
    refused = people.refused(*answer(people.ask(), "bob"), user="bob")
    assert "User bob may not approve here: grant the verb approve on approvals.akeso.dev" in refused


def test_alice_answers_once(people: People) -> None:
    approval = people.ask()
    assert "patched" in people.ok(*answer(approval, "alice"), user="alice")
    assert "`decision` may not be changed once set" in people.refused(
        *answer(approval, "alice", "Denied"), user="alice")
    assert people.ok("get", approval, "-o", "jsonpath={.spec.decision} {.spec.decidedBy}") == "Approved alice"


def test_alice_may_deny(people: People) -> None:
    assert "patched" in people.ok(*answer(people.ask(), "alice", "Denied"), user="alice")


def test_bob_cannot_take_the_credit_later(people: People) -> None:
    approval = people.ask()
    people.ok(*answer(approval, "alice"), user="alice")
    refused = people.refused(*merge(approval, {"decidedBy": "bob"}), user="bob")
    assert "`decidedBy` may not be changed once set" in refused


def test_bob_cannot_withdraw_the_answer_of_alice(people: People) -> None:
    approval = people.ask()
    people.ok(*answer(approval, "alice", "Denied"), user="alice")
    withdrawal = merge(approval, {"decision": None, "decidedBy": None})
    assert "may not be changed once set" in people.refused(*withdrawal, user="bob")


def test_the_operator_asks_but_never_answers(people: People) -> None:
    approval = people.ask(user=OPERATOR)
    for name in (OPERATOR, "alice"):
        refused = people.refused(*answer(approval, name), user=OPERATOR)
        assert "the operator may not answer its own Approval" in refused


@pytest.mark.parametrize("user", ["alice", OPERATOR])
def test_no_approval_is_born_decided(people: People, user: str) -> None:
    body = people.question(decision="Approved", decidedBy=user)
    refused = people.refused("create", "-f", "-", user=user, body=body)
    assert "an Approval must be created without `spec.decision`" in refused


def test_a_comment_needs_no_verb(people: People) -> None:
    assert "patched" in people.ok(*merge(people.ask(), {"comment": "looking into it"}), user="bob")
