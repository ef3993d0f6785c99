"""All actions of this pack; the entry point of the group `akeso.actions`."""
from __future__ import annotations

from typing import Any

from akeso.sdk.action import Action
from akeso_actions.collect_diagnostics import CollectDiagnostics
from akeso_actions.cordon_node import CordonNode
from akeso_actions.evict_pod import EvictPod
from akeso_actions.notify import Notify
from akeso_actions.restart_deployment import RestartDeployment
from akeso_actions.restart_pod import RestartPod
from akeso_actions.rollback_deployment import RollbackDeployment
from akeso_actions.scale_deployment import ScaleDeployment
from akeso_actions.set_memory_limit import SetMemoryLimit
from akeso_actions.uncordon_node import UncordonNode

ACTIONS: tuple[Action[Any], ...] = (
    RestartDeployment(), RollbackDeployment(), ScaleDeployment(), SetMemoryLimit(), RestartPod(), EvictPod(),
    CordonNode(), UncordonNode(), CollectDiagnostics(), Notify(),
)
