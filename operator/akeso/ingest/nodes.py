"""Find the Node that a label speaks of."""
from __future__ import annotations

import ipaddress

from akeso.ingest.owners import Reads
from akeso.model.objects import NODE, POD, Object, dig

MAX_NODES = 5_000  # the largest cluster that Kubernetes supports


async def find_node(label: str, value: str, namespace: str, reads: Reads) -> Object | None:
    """The Node by its name (node, nodename), by instance (name or address, with a port), or under an exporter's pod."""
    if label == "pod":
        pod = await reads.get(POD, namespace, value)
        return await _named(str(dig(pod, "spec", "nodeName", default="")), reads)
    if label != "instance":
        return await _named(value, reads)
    host = _host(value)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return await _named(host, reads)
    return await _at(address, reads)


async def _named(name: str, reads: Reads) -> Object | None:
    return await reads.get(NODE, "", name)


async def _at(address: ipaddress.IPv4Address | ipaddress.IPv6Address, reads: Reads) -> Object | None:
    """The one Node with that InternalIP; None where two claim it."""
    nodes = await reads.reader.list(NODE, limit=MAX_NODES)
    found = [node for node in nodes if str(address) in _addresses(node)]
    return found[0] if len(found) == 1 else None


def _addresses(node: Object) -> set[str]:
    listed = dig(node, "status", "addresses", default=[])
    return {_plain(str(a.get("address", ""))) for a in listed if a.get("type") == "InternalIP"}


def _plain(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _host(instance: str) -> str:
    """`10.0.0.7:9100` → `10.0.0.7`, `[fd00::7]:9100` → `fd00::7`, `node-1` → itself."""
    if instance.startswith("["):
        return instance[1:].partition("]")[0]
    host, colon, port = instance.rpartition(":")
    return host if colon and port.isdigit() and ":" not in host else instance
