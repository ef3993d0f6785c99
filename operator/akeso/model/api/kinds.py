"""The table of custom resources, and the one way from a raw object to a typed one."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

import orjson
from pydantic import ValidationError

from akeso.errors import InvalidInput
from akeso.model.api.agent import AgentSpec, AgentStatus
from akeso.model.api.approval import ApprovalSpec, ApprovalStatus
from akeso.model.api.common import ApiModel, Status
from akeso.model.api.endpoint import ModelEndpointSpec, ModelEndpointStatus
from akeso.model.api.run import WorkflowRunSpec, WorkflowRunStatus
from akeso.model.api.workflow import ClusterWorkflowSpec, WorkflowSpec, WorkflowStatus
from akeso.model.names import GROUP, VERSION
from akeso.model.objects import Kind, dig

S = TypeVar("S", bound=ApiModel)
_SHOWN: Final = 10  # problems in the text of an error; all of them are in `problems`


class InvalidObject(InvalidInput, ValueError):
    """The object does not fit its schema."""

    def __init__(self, what: str, problems: tuple[str, ...]) -> None:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        super().__init__(
            what, why="; ".join(problems[:_SHOWN]) + more, next_step="correct these fields and apply the object again.")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column. Priority 1 shows with `-o wide` only."""

    name: str
    path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class CustomKind(Generic[S]):
    """One custom resource: what the CRD says, and its models."""

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    description: str
    spec: type[S]
    status: type[Status]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    namespaced: bool = True

    @property
    def resource(self) -> Kind:
        """Its place in URLs."""
        return Kind(GROUP, VERSION, self.kind, self.plural, self.namespaced)

    @property
    def crd_name(self) -> str:
        return f"{self.plural}.{GROUP}"


@dataclass(frozen=True, slots=True)
class Resource(Generic[S]):
    """A custom resource whose spec was checked. `status` stays raw: other versions of the operator wrote it too."""

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    spec: S
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """`Workflow/shop/crashloop`; no namespace for cluster-scoped kinds."""
        return "/".join(p for p in (self.kind, self.namespace, self.name) if p)


def _condition(column: str, type_: str, part: str, priority: int = 0) -> Column:
    return Column(column, f'.status.conditions[?(@.type=="{type_}")].{part}', priority=priority)


_READY: Final = _condition("Ready", "Ready", "status")
_MESSAGE: Final = _condition("Status", "Ready", "message", 1)
_AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")
_WORKFLOW_COLUMNS: Final = (
    _READY,
    Column("Mode", ".spec.mode"),
    Column("Agent", ".spec.agentRef.name"),
    Column("Active", ".status.activeRuns", "integer"),
    Column("OK%", ".status.successPercent", "integer", description="Succeeded of finished runs, 30 days"),
    Column("Last-Run", ".status.lastRun.startTime", "date"),
    _AGE,
    Column("Steps", ".status.stepCount", "integer", 1),
    Column("Suspended", ".spec.suspend", "boolean", 1),
    _MESSAGE,
)

WORKFLOW: Final = CustomKind(
    "Workflow", "akesoworkflows", "akesoworkflow", ("akwf", "workflow", "workflows"),
    "Workflow is a remediation: triggers, steps and limits, in one namespace. Its executions are WorkflowRuns.",
    WorkflowSpec, WorkflowStatus, _WORKFLOW_COLUMNS, (".spec.mode", ".spec.agentRef.name"))
CLUSTER_WORKFLOW: Final = CustomKind(
    "ClusterWorkflow", "clusterworkflows", "clusterworkflow", ("akcwf",),
    "ClusterWorkflow is a Workflow of the platform team that acts in every namespace its namespaceSelector matches.",
    ClusterWorkflowSpec, WorkflowStatus, _WORKFLOW_COLUMNS, (".spec.mode",), namespaced=False)
WORKFLOW_RUN: Final = CustomKind(
    "WorkflowRun", "workflowruns", "workflowrun", ("akrun",),
    "WorkflowRun is one execution of a Workflow.",
    WorkflowRunSpec, WorkflowRunStatus, (
        Column("Workflow", ".spec.workflowRef.name"),
        Column("Target", ".status.target"),
        Column("Phase", ".status.phase"),
        Column("Steps", ".status.progress"),
        Column("Duration", ".status.duration"),
        _AGE,
        Column("Trigger", ".spec.trigger.type", priority=1),
        Column("Alert", ".spec.trigger.alert.labels.alertname", priority=1),
        Column("Confidence", ".status.decision.confidencePercent", "integer", 1),
        _condition("Message", "Succeeded", "message", 1),
    ), (".spec.workflowRef.name", ".status.phase", ".spec.trigger.alert.fingerprint"))
AGENT: Final = CustomKind(
    "Agent", "akesoagents", "akesoagent", ("akagent", "agent", "agents"),
    "Agent binds language models to allowed actions, limits and a degree of autonomy.",
    AgentSpec, AgentStatus, (
        _READY,
        Column("Autonomy", ".spec.autonomy"),
        Column("Model", ".status.activeModel"),
        Column("Circuit", ".status.circuit"),
        Column("Active", ".status.activeRuns", "integer"),
        Column("OK%", ".status.successPercent", "integer"),
        _AGE,
        _MESSAGE,
    ), (".spec.autonomy",))
MODEL_ENDPOINT: Final = CustomKind(
    "ModelEndpoint", "modelendpoints", "modelendpoint", ("akmodel",),
    "ModelEndpoint is a language model the operator can call.",
    ModelEndpointSpec, ModelEndpointStatus, (
        _READY,
        Column("Provider", ".spec.provider"),
        Column("Model", ".spec.model"),
        Column("Latency-ms", ".status.latencyMilliseconds", "integer"),
        _AGE,
        Column("URL", ".spec.url", priority=1),
        _MESSAGE,
    ), (".spec.provider",))
APPROVAL: Final = CustomKind(
    "Approval", "approvals", "approval", ("akapproval",),
    "Approval asks a person to agree to one step of a WorkflowRun.",
    ApprovalSpec, ApprovalStatus, (
        Column("Run", ".spec.runRef.name"),
        Column("Step", ".spec.step"),
        Column("Decision", ".spec.decision"),
        Column("By", ".spec.decidedBy"),
        Column("Expires", ".spec.expirationTime"),
        _AGE,
        Column("Summary", ".spec.summary", priority=1),
    ), (".spec.runRef.name", ".spec.decision"))

CUSTOM_KINDS: Final[tuple[CustomKind[Any], ...]] = (
    WORKFLOW, CLUSTER_WORKFLOW, WORKFLOW_RUN, AGENT, MODEL_ENDPOINT, APPROVAL)


def custom_kind(kind: str) -> CustomKind[Any]:
    """The table row of that kind. InvalidObject where it is none of ours."""
    found = next((k for k in CUSTOM_KINDS if k.kind == kind), None)
    if found is None:
        ours = ", ".join(k.kind for k in CUSTOM_KINDS)
        raise InvalidObject(f"Unknown kind {_printable(kind, 63)!r}", (f"`kind` must be one of {ours}",))
    return found


def parse(kind: CustomKind[S], obj: Mapping[str, Any]) -> Resource[S]:
    """A raw object as the API server (or a file) gives it, with its spec checked as strictly as the CRD does.

    Raises InvalidObject, which lists every problem with its path, like `spec.steps[0].action.name: …`.
    """
    meta = dig(obj, "metadata", default={})
    title = f"{kind.kind} {_printable(dig(meta, 'name', default='without a name'), 253)!r} is not valid"
    try:
        # By way of JSON: strict about scalars ("80" is no number), yet arrays are tuples and texts are times.
        spec = kind.spec.model_validate_json(orjson.dumps(dig(obj, "spec", default={})), strict=True)
    except ValidationError as e:
        problems = tuple(_problem(p) for p in e.errors(include_url=False, include_input=False))
        raise InvalidObject(title, problems) from None
    except TypeError as e:
        raise InvalidObject(title, (f"spec: not JSON: {e}",)) from None
    return Resource(
        kind=kind.kind, namespace=dig(meta, "namespace", default=""), name=dig(meta, "name", default=""),
        uid=dig(meta, "uid", default=""), generation=dig(meta, "generation", default=0),
        annotations=dig(meta, "annotations", default={}), labels=dig(meta, "labels", default={}),
        spec=spec, status=dig(obj, "status", default={}))


def _problem(error: Any) -> str:
    path = "spec" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"])
    message = str(error["msg"])
    return f"{_printable(path, 512)}: {message[:1].lower()}{message[1:512]}"


def _printable(text: object, limit: int) -> str:
    """Names and keys come from strangers: one line, no control characters, bounded."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:limit])
