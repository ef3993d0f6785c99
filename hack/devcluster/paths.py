"""Where things live: the binary cache, the state of each cluster, and the names derived from a cluster's name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .console import ClusterError

TOOLS = Path(__file__).resolve().parent.parent / "tools"
RUN_ROOT = Path("/run/akeso")
"""Sockets and mounts of native clusters; also the machine-wide register of their names and slots."""
NAME_RULE = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
SLOTS = 32


def cache_root() -> Path:
    """`$AKESO_CACHE`, else `$XDG_CACHE_HOME/akeso`, else `~/.cache/akeso`."""
    if chosen := os.environ.get("AKESO_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "akeso"


def state_root() -> Path:
    """`$XDG_STATE_HOME/akeso/clusters`, else `~/.local/state/akeso/clusters`."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "akeso" / "clusters"


def checked_name(name: str) -> str:
    """Return `name` when it can be part of netns, cgroup and node names; raise ClusterError when not."""
    if not NAME_RULE.fullmatch(name):
        raise ClusterError(f"cluster name {name!r} is not a DNS label of at most 40 characters; choose another --name")
    return name


@dataclass(frozen=True, slots=True)
class Names:
    """Every machine-wide name of one cluster, derived from its name and slot alone.

    Teardown therefore needs no state file: what a crashed instance left is found from these.
    """

    name: str
    slot: int

    @property
    def run_folder(self) -> Path:
        return RUN_ROOT / self.name

    @property
    def bridge(self) -> str:
        return f"ak{self.slot}-{self.name}"[:15]  # the kernel's limit for a link name

    @property
    def netns_prefix(self) -> str:
        return f"akeso-{self.name}-n"

    def netns(self, index: int) -> str:
        return f"{self.netns_prefix}{index}"

    def veth(self, index: int) -> str:
        return f"ak{self.slot}n{index}-{self.name}"[:15]

    @property
    def cgroup(self) -> str:
        return f"akeso-{self.name}"

    @property
    def nft_table(self) -> str:
        return f"akeso-{self.name}"

    def node(self, index: int) -> str:
        return f"{self.name}-n{index}"

    @property
    def node_cidr(self) -> str:
        return f"10.{192 + self.slot}.0.0/24"

    @property
    def bridge_address(self) -> str:
        return f"10.{192 + self.slot}.0.1"

    def node_address(self, index: int) -> str:
        return f"10.{192 + self.slot}.0.{10 + index}"

    @property
    def pod_cidr(self) -> str:
        return f"10.{128 + self.slot}.0.0/16"

    def node_pod_cidr(self, index: int) -> str:
        return f"10.{128 + self.slot}.{index}.0/24"

    @property
    def service_cidr(self) -> str:
        return f"10.{160 + self.slot}.0.0/20"

    @property
    def kubernetes_service(self) -> str:
        return f"10.{160 + self.slot}.0.1"

    def first_port(self) -> int:
        """Ports lie below Linux's ephemeral range, so that a paused API server finds its own again."""
        return 21000 + 100 * self.slot
