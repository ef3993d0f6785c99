"""Links, namespaces, routes and the masquerade table of one native cluster."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
from pathlib import Path

from .console import ClusterError
from .paths import SLOTS, Names

NETNS_FOLDER = Path("/var/run/netns")


def run(*command: str, stdin: str | None = None) -> str:
    """Run a tool to its end within a minute; a failure is a ClusterError with what it said."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def quietly(*command: str) -> bool:
    """Run a tool whose failure only means that there is nothing to remove."""
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def inside(netns: str) -> list[str]:
    """Prefix that runs a command in a network namespace.

    Not `ip netns exec`: that one mounts /sys anew and hides the cgroups.
    """
    return ["nsenter", f"--net={NETNS_FOLDER / netns}", "--"]


def slot_is_free(names: Names) -> bool:
    """Whether no address or route of this machine overlaps the networks of this slot."""
    wanted = [ipaddress.ip_network(cidr) for cidr in (names.node_cidr, names.pod_cidr, names.service_cidr)]
    for route in json.loads(run("ip", "-json", "-4", "route", "show", "table", "all") or "[]"):
        destination = route.get("dst", "default")
        if destination == "default":
            continue
        used = ipaddress.ip_network(destination, strict=False)
        if used.prefixlen > 0 and any(used.overlaps(mine) for mine in wanted):
            return False
    return True


def create_bridge(names: Names) -> None:
    """The bridge with its address, forwarding, and masquerade for what leaves the cluster."""
    run("ip", "link", "add", names.bridge, "type", "bridge")
    run("ip", "addr", "add", f"{names.bridge_address}/24", "dev", names.bridge)
    run("ip", "link", "set", names.bridge, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    inside_cluster = f"{{ {names.node_cidr}, {names.pod_cidr} }}"
    rules = f"""table ip {names.nft_table} {{
      chain postrouting {{
        type nat hook postrouting priority srcnat;
        ip saddr {inside_cluster} oifname != "{names.bridge}" masquerade
      }}
    }}"""
    run("nft", "-f", "-", stdin=rules)


def create_node(names: Names, index: int) -> None:
    """One namespace with a leg on the bridge, its route out, and the host's route to its pods."""
    netns, veth, address = names.netns(index), names.veth(index), names.node_address(index)
    commands = [
        f"netns add {netns}",
        f"link add {veth} type veth peer name eth0 netns {netns}",
        f"link set {veth} master {names.bridge} up",
        f"-n {netns} link set lo up",
        f"-n {netns} addr add {address}/24 dev eth0",
        f"-n {netns} link set eth0 up",
        f"-n {netns} route add default via {names.bridge_address}",
        f"route add {names.node_pod_cidr(index)} via {address}",
    ]
    for command in commands:
        run("ip", *command.split())
    run(*inside(netns), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    if index == 1:  # lets the API server and tests on the host reach Services: node 1's kube-proxy translates
        run("ip", "route", "add", names.service_cidr, "via", address)


def namespaces(names: Names) -> list[str]:
    """The network namespaces of this cluster that exist."""
    if not NETNS_FOLDER.is_dir():
        return []
    rest = (p.name for p in NETNS_FOLDER.iterdir() if p.name.startswith(names.netns_prefix))
    return sorted(n for n in rest if n.removeprefix(names.netns_prefix).isdigit())


def owners() -> list[str]:
    """Names of the clusters whose network namespaces exist."""
    folder = NETNS_FOLDER if NETNS_FOLDER.is_dir() else None
    matches = (re.fullmatch(r"akeso-(.+)-n\d+", p.name) for p in folder.iterdir()) if folder else ()
    return sorted({m.group(1) for m in matches if m})


def remove(names: Names) -> None:
    """Delete namespaces, links, routes (they go with the bridge) and the masquerade table; nothing there is fine."""
    for netns in namespaces(names):
        quietly("ip", "netns", "del", netns)
    for link in [names.bridge, *(names.veth(i) for i in range(1, 65))]:
        if Path("/sys/class/net", link).exists():
            quietly("ip", "link", "del", link)
    quietly("nft", "delete", "table", "ip", names.nft_table)


def all_slots(name: str) -> list[Names]:
    return [Names(name, slot) for slot in range(SLOTS)]
