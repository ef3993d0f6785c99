"""Raise the memory limit of a container that the kernel killed for memory, one bounded step."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, ClassVar

from pydantic import Field, field_validator

from akeso.model.objects import DEPLOYMENT
from akeso.model.quantity import format_bytes, parse_bytes, round_up
from akeso.sdk.action import (
    Action,
    Change,
    Context,
    EffectClass,
    Health,
    Kind,
    Object,
    Params,
    Reversibility,
    Rule,
    Verification,
)
from akeso_actions import podstate, rollout
from akeso_actions.memory_room import Raise, require_room
from akeso_actions.patching import pointer, restore, set_values, value_at
from akeso_actions.preconditions import CamelParams, mappings, refuse, text

KI, MI = 2**10, 2**20


class MemoryParams(CamelParams):
    container: str = Field("", max_length=63, description="Its name; empty: the one that was killed, if only one was.")
    factor: str = Field("1.5", max_length=16, description="New limit = old limit x factor; above 1, at most 2.")
    limit: str = Field("", max_length=32, description="New limit as a quantity, instead of a factor; at most double.")
    max_limit: str = Field(
        "2Gi", max_length=32,
        description="Never above this, however often it runs. Beyond 2Gi it is capacity planning: say so yourself.",
    )

    @field_validator("factor")
    @classmethod
    def _bounded_factor(cls, value: str) -> str:
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise ValueError("must be a decimal number such as \"1.5\"") from None
        if not (number.is_finite() and 1 < number <= 2):
            raise ValueError("must be above 1 and at most 2")
        return value

    @field_validator("limit", "max_limit")
    @classmethod
    def _positive_quantity(cls, value: str) -> str:
        if value and parse_bytes(value) == 0:
            raise ValueError("must be above 0")
        return value


class SetMemoryLimit(Action[MemoryParams]):
    """Rests on what the kubelet says: OOMKilled on a pod of the *present* ReplicaSet; a kill under an older template
    proves nothing about this limit. The request is left alone unless it equals the limit (then both rise, so that the
    pod keeps its QoS class). Running it again ends at `maxLimit`, which stops the loop of a leak.
    """

    name = "set_memory_limit"
    title = "Raise the memory limit of a container that was OOM-killed"
    params: ClassVar[type[Params]] = MemoryParams
    target_kinds: ClassVar[tuple[Kind, ...]] = (DEPLOYMENT,)
    needs = (Rule("apps", "deployments", ("get", "patch")),)
    effect = EffectClass.SPEC_WRITE
    reversibility = Reversibility.EXACT
    verify_within_seconds = 600

    def plan(self, ctx: Context, params: MemoryParams) -> Change | None:
        rollout.require_steerable(ctx.target)
        index, container = _container(ctx, params.container or _killed(ctx))
        name = text(container, "name")
        old = _amount(container, "limits")
        if old is None:
            refuse(f"container {name} has no memory limit: the node ran out of memory, not the container's limit")
        new = _wanted(old, params)
        if params.limit and old >= new:
            return None
        if params.container and name not in _all_killed(ctx):
            refuse(f"no pod of the present revision says that container {name} was OOMKilled")
        _keep_bounds(old, new, params)
        request = _amount(container, "requests")
        values = {_memory(index, "limits"): format_bytes(new)}
        if request == old:
            values[_memory(index, "requests")] = format_bytes(new)
        require_room(ctx, Raise(container, old, new, request))
        summary = f"raise the memory limit of {ctx.ref}[{name}] from {format_bytes(old)} to {format_bytes(new)}"
        return set_values(ctx.target, ctx.ref, summary, values)

    def verify(
        self, before: Object, now: Object | None, related: Sequence[Object], params: MemoryParams,
    ) -> Verification:
        if now is not None and rollout.observed(now):
            for pod in rollout.pods_of(rollout.current_replicaset(now, related), related):
                if killed := podstate.out_of_memory(pod):
                    who = f"{text(pod, 'metadata', 'name')}: {', '.join(killed)}"
                    return Verification(Health.UNHEALTHY, f"{who} was OOMKilled with the new limit")
        return rollout.health(before, now, related)

    def undo(self, before: Object, now: Object, change: Change) -> Change | None:
        """None also where the containers were reordered since: an index would then mean another container."""
        for path in change.before:
            name_at = "/".join(path.split("/")[:6]) + "/name"  # /spec/template/spec/containers/<index>/name
            if value_at(before, name_at) != value_at(now, name_at):
                return None
        return restore(now, change)


def _memory(index: int, what: str) -> str:
    return pointer("spec", "template", "spec", "containers", index, "resources", what, "memory")


def _all_killed(ctx: Context) -> set[str]:
    current = rollout.current_replicaset(ctx.target, ctx.snapshot.objects)
    return {name for pod in rollout.pods_of(current, ctx.snapshot.objects) for name in podstate.out_of_memory(pod)}


def _killed(ctx: Context) -> str:
    names = sorted(_all_killed(ctx))
    if not names:
        refuse("no pod of the present revision says that a container was OOMKilled")
    if len(names) > 1:
        refuse(f"several containers were OOMKilled: {', '.join(names)}", "name one with `container`")
    return names[0]


def _container(ctx: Context, name: str) -> tuple[int, Mapping[str, Any]]:
    containers = mappings(ctx.target, "spec", "template", "spec", "containers")
    found = next(((i, c) for i, c in enumerate(containers) if name and c.get("name") == name), None)
    if found is None:
        known = ", ".join(text(c, "name") for c in containers) or "none"
        refuse(f"the template has no container {name!r:.80}; it has: {known}")
    return found


def _amount(container: Mapping[str, Any], what: str) -> int | None:
    """Bytes of limits.memory or requests.memory; None where it is not set. Refuses what cannot be read."""
    value = value_at(container, pointer("resources", what, "memory"))
    try:
        return None if value is None else parse_bytes(value)
    except ValueError as error:
        refuse(f"resources.{what}.memory of container {text(container, 'name')} cannot be read: {error}")


def _wanted(old: int, params: MemoryParams) -> int:
    """The new limit in bytes: rounded up to whole Mi (small ones: Ki), unless that would pass the double or the cap."""
    if params.limit:
        return parse_bytes(params.limit)
    exact = Fraction(Decimal(params.factor)) * old
    least = -(-exact.numerator // exact.denominator)
    readable = round_up(least, MI if least >= 16 * MI else KI)
    return readable if readable <= min(2 * old, parse_bytes(params.max_limit)) else least


def _keep_bounds(old: int, new: int, params: MemoryParams) -> None:
    cap = parse_bytes(params.max_limit)
    if new > cap:
        refuse(
            f"{format_bytes(new)} is above the cap maxLimit, {format_bytes(cap)}; the limit is {format_bytes(old)} now",
            "look for a leak, or raise maxLimit")
    if new > 2 * old:
        refuse(f"{format_bytes(new)} is more than double the present {format_bytes(old)}: one step at most doubles it")
    if new <= old:
        refuse(f"{format_bytes(new)} is not above the present limit, {format_bytes(old)}")
