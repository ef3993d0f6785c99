"""Names that other people's tools see: the API group, annotations, condition types and reasons. They never change."""
from __future__ import annotations

from typing import Final

GROUP: Final = "akeso.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FIELD_MANAGER: Final = "akeso"
REPORTING_CONTROLLER: Final = "akeso.dev/operator"

# Annotations and labels on objects of other people.
MANAGED: Final = "akeso.dev/managed"            # "true" on a namespace or an object: Akeso may act here
PROTECTED: Final = "akeso.dev/protected"        # "true" on a namespace or an object: Akeso never acts here
PAUSED: Final = "akeso.dev/paused"              # "true" on a namespace or an object: not now
LAST_ACTION: Final = "akeso.dev/last-action"    # marker: the action id of our newest write (reliability.md A.4)
FENCE: Final = "akeso.dev/fence"                # epoch of the newest write; an older epoch may not write after it
CORDONED_BY: Final = "akeso.dev/cordoned-by"    # on a Node: we cordoned it, so we may uncordon it

# Labels on WorkflowRuns.
LABEL_WORKFLOW: Final = "akeso.dev/workflow"
LABEL_AGENT: Final = "akeso.dev/agent"
LABEL_TRIGGER: Final = "akeso.dev/trigger"
LABEL_ALERTNAME: Final = "akeso.dev/alertname"
LABEL_FINGERPRINT: Final = "akeso.dev/fingerprint"

WEBHOOK_AUDIENCE: Final = "akeso-webhook"       # audience of the ServiceAccount token that Alertmanager presents


class Reason:
    """Reasons of conditions, Events and refusals. CamelCase, one meaning for ever."""

    # why a run started
    ALERT_MATCHED: Final = "AlertMatched"
    # gates, in the order of decide.gates.BEFORE_ACTING
    SUSPENDED: Final = "Suspended"
    PAUSED: Final = "Paused"
    PROTECTED: Final = "Protected"
    NOT_MANAGED: Final = "NotManaged"
    OUT_OF_SCOPE: Final = "OutOfScope"
    ACTION_NOT_ALLOWED: Final = "ActionNotAllowed"
    LIMIT_REACHED: Final = "LimitReached"
    ALERT_RESOLVED: Final = "AlertResolved"
    CONCURRENCY_FORBIDDEN: Final = "ConcurrencyForbidden"
    COOLING_DOWN: Final = "CoolingDown"
    INEFFECTIVE: Final = "ActionIneffective"
    CIRCUIT_OPEN: Final = "CircuitOpen"
    PRECONDITION_FAILED: Final = "PreconditionFailed"
    CONTRADICTED: Final = "ContradictedByFacts"
    TARGET_CHANGED: Final = "TargetChanged"
    ACTION_FORBIDDEN: Final = "ActionForbidden"
    NO_SERVICE_ACCOUNT: Final = "NoServiceAccount"
    # decisions
    ANSWERED: Final = "Answered"
    UNCERTAIN: Final = "Uncertain"
    MODEL_UNAVAILABLE: Final = "ModelUnavailable"
    CONDITION_FALSE: Final = "ConditionFalse"
    CONDITION_INVALID: Final = "ConditionInvalid"
    # approval
    APPROVAL_NEEDED: Final = "ApprovalNeeded"
    APPROVED: Final = "ApprovedByUser"
    DENIED: Final = "DeniedByUser"
    APPROVAL_EXPIRED: Final = "ApprovalExpired"
    SUGGESTED: Final = "Suggested"
    OBSERVED: Final = "Observed"
    # effects
    ACTION_APPLIED: Final = "ActionApplied"
    ACTION_FAILED: Final = "ActionFailed"
    ALREADY_SO: Final = "AlreadySo"
    VERIFIED: Final = "VerifiedHealthy"
    STILL_UNHEALTHY: Final = "StillUnhealthy"
    ROLLED_BACK: Final = "RolledBack"
    ROLLBACK_FAILED: Final = "RollbackFailed"
    ESCALATED: Final = "Escalated"
    # run ends
    SUCCEEDED: Final = "Succeeded"
    SKIPPED: Final = "Skipped"
    FAILED: Final = "Failed"
    REFUSED: Final = "Refused"
    TARGET_NOT_FOUND: Final = "TargetNotFound"
    DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
    NO_WORKFLOW: Final = "NoWorkflowMatches"
    # definitions
    READY: Final = "Ready"
    RECONCILING: Final = "Reconciling"
    INVALID_SPEC: Final = "InvalidSpec"
    AGENT_NOT_FOUND: Final = "AgentNotFound"
    UNKNOWN_ACTION: Final = "UnknownAction"
    CYCLE_IN_STEPS: Final = "CycleInSteps"
    PERMISSION_MISSING: Final = "PermissionMissing"
    UNSUPPORTED: Final = "Unsupported"
    ENDPOINT_NOT_FOUND: Final = "ModelEndpointNotFound"
