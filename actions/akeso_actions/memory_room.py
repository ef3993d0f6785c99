"""Whether a higher memory limit fits: LimitRanges, ResourceQuotas and nodes, as far as the snapshot holds them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from akeso.model.objects import dig
from akeso.model.quantity import format_bytes, parse_bytes, parse_quantity
from akeso.sdk.action import Context, Object
from akeso_actions import rollout
from akeso_actions.preconditions import condition_of, mappings, refuse, text


@dataclass(frozen=True, slots=True)
class Raise:
    """One container's limit goes from `old` to `new` bytes; `request`: its memory request (None: unset, so = limit)."""

    container: Mapping[str, Any]
    old: int
    new: int
    request: int | None

    @property
    def new_request(self) -> int:
        return self.new if self.request in (None, self.old) else self.request or 0

    @property
    def request_delta(self) -> int:
        return self.new - self.old if self.request in (None, self.old) else 0


def require_room(ctx: Context, change: Raise) -> None:
    """Refuse where the API server or the scheduler would not take the new pods. What cannot be read is skipped:
    the dry run and the verification still stand behind this."""
    for limits in _here(ctx, "LimitRange"):
        _within_limit_range(ctx, limits, change)
    for quota in _here(ctx, "ResourceQuota"):
        _within_quota(ctx, quota, change)
    _fits_a_node(ctx, change)


def _here(ctx: Context, kind: str) -> list[Object]:
    return [o for o in ctx.snapshot.of_kind(kind) if text(o, "metadata", "namespace") == ctx.ref.namespace]


def _within_limit_range(ctx: Context, limits: Object, change: Raise) -> None:
    name = f"LimitRange/{text(limits, 'metadata', 'name')}"
    for item in mappings(limits, "spec", "limits"):
        largest = _bytes(dig(item, "max", "memory"))
        wanted = change.new if item.get("type") == "Container" else _pod_limit(ctx) + change.new - change.old
        if item.get("type") in ("Container", "Pod") and largest is not None and wanted > largest:
            refuse(f"{name} allows {format_bytes(largest)} per {item['type']}, not {format_bytes(wanted)}")
        ratio = dig(item, "maxLimitRequestRatio", "memory")
        if item.get("type") == "Container" and ratio is not None and change.new_request:
            try:
                exceeded = change.new > parse_quantity(ratio) * change.new_request
            except ValueError:
                continue
            if exceeded:
                refuse(f"{name} allows a limit of at most {ratio} times the request")


def _pod_limit(ctx: Context) -> int:
    containers = mappings(ctx.target, "spec", "template", "spec", "containers")
    return sum(_bytes(dig(c, "resources", "limits", "memory")) or 0 for c in containers)


def _within_quota(ctx: Context, quota: Object, change: Raise) -> None:
    """All replicas at the new size, and the surge pods where the strategy cannot do without them."""
    wanted = rollout.replicas(ctx.target)
    surge = rollout.surge(ctx.target) if not rollout.may_take_down(ctx.target) else 0
    rises = {
        "limits.memory": wanted * (change.new - change.old) + surge * change.new,
        "requests.memory": wanted * change.request_delta + surge * change.new_request,
    }
    for key, rise in rises.items():
        hard, used = _bytes(dig(quota, "status", "hard", key)), _bytes(dig(quota, "status", "used", key))
        if hard is not None and used is not None and rise > 0 and used + rise > hard:
            refuse(
                f"ResourceQuota/{text(quota, 'metadata', 'name')} leaves {format_bytes(max(0, hard - used))} of {key}, "
                f"the rollout needs {format_bytes(rise)} more")


def _fits_a_node(ctx: Context, change: Raise) -> None:
    sizes = [
        size for node in ctx.snapshot.of_kind("Node")
        if condition_of(node, "Ready").get("status") == "True"
        and (size := _bytes(dig(node, "status", "allocatable", "memory"))) is not None
    ]
    if sizes and change.new > max(sizes):
        refuse(f"no node that is known here has {format_bytes(change.new)} of allocatable memory")


def _bytes(value: Any) -> int | None:
    try:
        return None if value is None else parse_bytes(value)
    except ValueError:
        return None
