"""Approvals: a person's answer, bound to the hash of the plan, the target's uid and its generation.

The Approval object belongs to the run (owner reference). Who may answer is RBAC on the verb `approve`, checked by the
ValidatingAdmissionPolicy in manifests/base, which also makes sure that `decidedBy` is who they say.
"""
from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from akeso.clock import format_time
from akeso.engine.case import Case
from akeso.errors import Conflict
from akeso.model.api.kinds import APPROVAL, WORKFLOW_RUN, parse
from akeso.model.names import API_VERSION
from akeso.model.objects import Object
from akeso.model.plan import Plan, Reversibility
from akeso.model.run import StepRecord

COOLDOWN_HORIZON = timedelta(days=7)  # cooldownSeconds may be at most this long


@dataclass(frozen=True, slots=True)
class PersonsAnswer:
    approved: bool
    message: str


def timeout(case: Case) -> timedelta:
    return timedelta(seconds=case.services.settings.approval_timeout_seconds)


def approval_name(case: Case, step: str, plan: Plan) -> str:
    """Deterministic, so that asking again after a crash makes no second question; another plan is another one."""
    return f"{case.run.name}-{step}"[:240] + f"-{plan.hash[:8]}"


async def request(case: Case, record: StepRecord, plan: Plan, expires: datetime) -> str:
    """Create the Approval (or find it). Returns its name."""
    uid = await case.services.projector.ensure(case.run.id)
    name, target = approval_name(case, record.name, plan), plan.change.target
    undo = {Reversibility.EXACT: "exactly, from the before-image", Reversibility.COMPENSABLE: "by an inverse action"}
    summary = f"{plan.change.summary}. Why: {record.message}. Undo: {undo.get(plan.reversibility, 'not possible')}"
    body = {
        "apiVersion": API_VERSION, "kind": "Approval",
        "metadata": {"name": name, "namespace": case.run.namespace, "ownerReferences": [{
            "apiVersion": API_VERSION, "kind": WORKFLOW_RUN.kind, "name": case.run.name, "uid": uid,
            "controller": True, "blockOwnerDeletion": True}]},
        "spec": {
            "runRef": {"name": case.run.name}, "step": record.name, "planHash": plan.hash,
            "summary": summary[:4096],
            "expirationTime": format_time(expires),
            "target": {"group": target.kind.group, "kind": target.kind.kind, "namespace": target.namespace,
                       "name": target.name, "uid": plan.uid, "generation": plan.generation},
            "diff": plan.diff[:16384]},
    }
    with suppress(Conflict):  # it is there already: a crash came between creating it and remembering it
        await case.services.cluster.create(APPROVAL.resource, case.run.namespace, body)
    return name


async def answer(case: Case, record: StepRecord, plan: Plan) -> PersonsAnswer | None:
    """The person's answer, or None while there is none. An answer to another plan does not count."""
    name = str(record.data.get("approval") or approval_name(case, record.name, plan))
    obj: Object | None = await case.services.cluster.get(APPROVAL.resource, case.run.namespace, name)
    if obj is None:
        return PersonsAnswer(False, f"Approval {name} was deleted, which counts as a denial")
    spec = parse(APPROVAL, obj).spec
    if spec.decision is None:
        return None
    if spec.plan_hash != plan.hash:
        theirs = (spec.plan_hash or "none")[:8]
        return PersonsAnswer(False, f"Approval {name} is for another plan ({theirs}, not {plan.hash[:8]})")
    if spec.decision == "Approved" and spec.expiration_time and case.now >= spec.expiration_time:
        return PersonsAnswer(False, f"approved by {spec.decided_by}, but after it had lapsed")
    comment = f": {spec.comment}" if spec.comment else ""
    return PersonsAnswer(spec.decision == "Approved", f"{spec.decision.lower()} by {spec.decided_by}{comment}")
