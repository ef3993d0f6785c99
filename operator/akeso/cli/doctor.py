"""doctor: is this installation able to heal? One line a check, and for each failure the one command that fixes it."""
from __future__ import annotations

import asyncio
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import typer

from akeso.act.rbac import OPERATOR_NAME
from akeso.cli.output import as_json, clean
from akeso.cli.session import cluster
from akeso.errors import AkesoError, NotFound
from akeso.kube.cluster import Cluster
from akeso.model.api.kinds import AGENT, CLUSTER_WORKFLOW, CUSTOM_KINDS, MODEL_ENDPOINT, WORKFLOW, CustomKind
from akeso.model.conditions import condition
from akeso.model.names import GROUP, MANAGED
from akeso.model.objects import DEPLOYMENT, NAMESPACE, SERVICEACCOUNT, Kind, Object, dig, marked

CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
POLICY = Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies",
              namespaced=False)
INSTALL_CRDS = "kubectl apply --server-side -k crds"
EXAMPLE = "kubectl apply -f manifests/examples/crash-loops.yaml"
OLDEST = (1, 30)  # ValidatingAdmissionPolicy is GA since then


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    ok: bool
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at."""

    api: Cluster
    namespace: str
    server: str


Check = Callable[[Patient], Awaitable[Finding]]


async def api_server(p: Patient) -> Finding:
    version = await p.api.server_version()
    major, minor = (int("".join(c for c in part if c.isdigit()) or 0) for part in version.lstrip("v").split(".")[:2])
    return Finding("api-server", (major, minor) >= OLDEST, f"Kubernetes {version} answers",
                   "upgrade Kubernetes to 1.30 or later")


async def crds(p: Patient) -> Finding:
    missing = [k.crd_name for k in CUSTOM_KINDS if await p.api.get(CRD, "", k.crd_name) is None]
    said = f"missing: {', '.join(missing)}" if missing else f"all {len(CUSTOM_KINDS)} installed"
    return Finding("crds", not missing, said, INSTALL_CRDS)


async def names(p: Patient) -> Finding:
    """A clash is no fault, but the person should know which words are theirs."""
    ours = {w for k in CUSTOM_KINDS for w in (k.plural, *k.short_names)}
    clashing = [f"{dig(c, 'spec', 'group')}/{dig(c, 'spec', 'names', 'plural')}" for c in await p.api.list(CRD)
                if dig(c, "spec", "group") != GROUP and dig(c, "spec", "names", "plural") in ours]
    return Finding("names", True, f"{', '.join(clashing)} is installed too: use kubectl get akwf, akagent" if clashing
                   else "kubectl get workflows is ours")


async def approval_policy(p: Patient) -> Finding:
    there = await p.api.get(POLICY, "", f"approvals.{GROUP}") is not None
    return Finding("approval-policy", there, "only people with the verb approve can approve" if there
                   else "anyone who may edit an Approval can approve in any name",
                   "kubectl apply -f manifests/base/approval-policy.yaml")


async def operator_rights(p: Patient) -> Finding:
    user = f"system:serviceaccount:{p.namespace}:{OPERATOR_NAME}"
    there = await p.api.get(SERVICEACCOUNT, p.namespace, OPERATOR_NAME) is not None
    wanted = [("list", "apps", "deployments", ""), ("get", "", "pods", "log"), ("list", "", "events", ""),
              ("create", GROUP, "workflowruns", ""), ("create", "authentication.k8s.io", "tokenreviews", ""),
              ("create", "authorization.k8s.io", "subjectaccessreviews", "")]
    lacks = [f"{verb} {resource}" for verb, group, resource, sub in wanted
             if not (await p.api.can_i(user, verb, group, resource, sub))[0]]
    if not there:
        lacks = ["its ServiceAccount does not exist"]
    fix = "kubectl apply -f manifests/base/operator-rbac.yaml"
    if await p.api.get(NAMESPACE, "", p.namespace) is None:
        fix = f"kubectl create namespace {p.namespace} && {fix}"
    said = "; ".join(lacks) if lacks else "can read what it needs"
    return Finding("operator-rights", not lacks, f"{user}: {said}", fix)


async def least_privilege(p: Patient) -> Finding:
    user = f"system:serviceaccount:{p.namespace}:{OPERATOR_NAME}"
    can = [f"{verb} {resource}" for verb, group, resource in (
        ("patch", "apps", "deployments"), ("delete", "", "pods"), ("patch", "", "nodes"), ("list", "", "secrets"),
        ("impersonate", "", "serviceaccounts"), ("impersonate", "", "users"))
        if (await p.api.can_i(user, verb, group, resource))[0]]
    return Finding("least-privilege", not can, f"the operator itself may {', '.join(can)}" if can
                   else "the operator itself may change no workload",
                   f"kubectl get clusterrolebindings -o wide | grep {OPERATOR_NAME}")


async def workflows(p: Patient) -> Finding:
    return await _all_ready(p, "workflows", (WORKFLOW, CLUSTER_WORKFLOW), EXAMPLE)


async def agents(p: Patient) -> Finding:
    return await _all_ready(p, "agents", (AGENT, MODEL_ENDPOINT), EXAMPLE)


async def _all_ready(p: Patient, check: str, kinds: Sequence[CustomKind[Any]], when_none: str) -> Finding:
    try:
        found: list[Object] = [o for k in kinds for o in await p.api.list(k.resource)]
    except NotFound:
        return Finding(check, False, "their custom resources are not installed", INSTALL_CRDS)
    for obj in found:
        ready = condition(dig(obj, "status", "conditions", default=[]), "Ready")
        name = f"{obj.get('kind')} {dig(obj, 'metadata', 'namespace', default='')}/{dig(obj, 'metadata', 'name')}"
        if ready is None:
            return Finding(check, False, f"{name} was not looked at: is the operator running?", "akeso run")
        if ready.get("status") != "True":
            said, *fix = re.split(r"[.;] [Nn]ext: ", str(ready.get("message", "")), maxsplit=1)
            return Finding(check, False, f"{name} is not Ready: {said}", fix[0] if fix else _described(obj))
    return Finding(check, bool(found), f"{len(found)} Ready" if found else "there is none", when_none)


def _described(obj: Object) -> str:
    where = dig(obj, "metadata", "namespace", default="")
    return f"kubectl describe {obj.get('kind')} {dig(obj, 'metadata', 'name')}" + (f" -n {where}" if where else "")


async def managed(p: Patient) -> Finding:
    opted = [dig(n, "metadata", "name") for n in await p.api.list(NAMESPACE) if marked(n, MANAGED)]
    some = bool(opted) or any(marked(d, MANAGED) for d in await p.api.list(DEPLOYMENT))
    return Finding("opted-in", some, f"Akeso may act in {', '.join(opted) or 'single objects'}" if some
                   else "nothing is opted in: every action would be refused",
                   f"kubectl label namespace NAME {MANAGED}=true")


async def running(p: Patient) -> Finding:
    """The operator's own word about its database, API server, breakers and heartbeat."""
    if not p.server:
        return Finding("operator", True, "not asked: give --server http://HOST:8080 to check a running operator")
    try:
        status, text = await asyncio.to_thread(_readyz, p.server)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Finding("operator", False, f"{p.server} does not answer ({type(error).__name__})", "akeso run")
    return Finding("operator", status == 200, text, "read the operator's log")


def _readyz(server: str) -> tuple[int, str]:
    """Status and the beginning of the body. Proxies of the environment are for the internet, not for this."""
    if not server.startswith(("http://", "https://")):
        raise ValueError("not an http or https URL")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(server.rstrip("/") + "/readyz", timeout=5) as answer:
            return answer.status, answer.read(600).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(600).decode(errors="replace")


CHECKS: Sequence[Check] = (
    api_server, crds, names, approval_policy, operator_rights, least_privilege, agents, workflows, managed, running)


async def examine(kubeconfig: str, *, namespace: str, server: str, output: str) -> None:
    """Exit code 1 where a check fails. A check that cannot be made is a failed one."""
    findings = []
    async with cluster(kubeconfig) as api:
        for check in CHECKS:
            try:
                findings.append(await check(Patient(api, namespace, server)))
            except AkesoError as error:
                findings.append(Finding(check.__name__.replace("_", "-"), False, str(error), error.next_step))
    if output == "json":
        as_json([asdict(f) for f in findings])
    for finding in findings if output != "json" else ():
        typer.echo(f"{'✓' if finding.ok else '✗'} {finding.check:<16} {clean(finding.message)}")
        if not finding.ok and finding.fix:
            typer.echo(f"  {'':16} fix: {clean(finding.fix)}")
    if not all(f.ok for f in findings):
        raise typer.Exit(1)
