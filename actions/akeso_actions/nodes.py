"""What a Node says, and whose cordon it carries. Shared by cordon_node and uncordon_node."""
from __future__ import annotations

from akeso.model.names import CORDONED_BY, FIELD_MANAGER
from akeso.model.objects import Object, dig
from akeso_actions.patching import pointer
from akeso_actions.preconditions import condition_of, mapping, text

UNSCHEDULABLE = "/spec/unschedulable"
CORDON_MARK = pointer("metadata", "annotations", CORDONED_BY)
OURS = FIELD_MANAGER

PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
ZONE = "topology.kubernetes.io/zone"
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def cordoned(node: Object) -> bool:
    return dig(node, "spec", "unschedulable") is True


def cordoned_by_us(node: Object) -> bool:
    return cordoned(node) and text(node, "metadata", "annotations", CORDONED_BY) == OURS


def ready(node: Object) -> bool:
    return condition_of(node, "Ready").get("status") == "True"


def serves(node: Object) -> bool:
    """Ready, and new pods may be put on it."""
    return ready(node) and not cordoned(node) and dig(node, "metadata", "deletionTimestamp") is None


def control_plane(node: Object) -> bool:
    return any(label in mapping(node, "metadata", "labels") for label in _CONTROL_PLANE)


def zone(node: Object) -> str:
    return text(node, "metadata", "labels", ZONE)
