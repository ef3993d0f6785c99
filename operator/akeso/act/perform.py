"""Effects on the cluster, exactly once: one conditional write, and a read back wherever its outcome is not known.

The argument is design/reliability.md A.4. Every path begins with a quorum GET, so a first attempt, a retry, a replay on
purpose and the recovery of a dead process's intent are one and the same: look, and send only what is still due.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from akeso.act import diff, patches
from akeso.errors import Conflict, Forbidden, GiveUp, InvalidInput, NotFound, OutcomeUnknown, TryLater
from akeso.model import names
from akeso.model.names import Reason
from akeso.model.objects import Object, dig
from akeso.model.plan import Intent, IntentState, Plan, Verb
from akeso.ports import ClusterReader, ClusterWriter

MAX_SENDS = 3
"""The same write is sent at most so often in one call while its object stays as it was decided about."""


class Cluster(ClusterReader, ClusterWriter, Protocol):
    """Reads and writes of one API server."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an intent ended; never IntentState.INTENT. `object` is what the API server answered, where it answered."""

    state: IntentState
    message: str
    object: Object | None = None
    reason: str = ""


def action_id(run_id: str, step: str, attempt: int, plan: Plan) -> str:
    """32 hex digits: the same for every copy of one effect, different for every other effect.

    The plan's hash carries target, uid, generation, verb, params, patch and identity.
    """
    kind = plan.change.target.kind
    bound = [run_id, step, attempt, kind.api_version, kind.kind, plan.hash]
    return hashlib.sha256(json.dumps(bound).encode()).hexdigest()[:32]


class Performer:
    """Simulates plans and carries out intents."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def dry_run(self, plan: Plan, current: Object | None = None) -> str:
        """What the API server says the plan would change: a unified diff for a patch (empty: nothing), else a line.

        The exact request as the plan's ServiceAccount, so permissions and admission speak too. `current`: the object as
        it was read just now; read again where it is left out. Raises Conflict where
        the object is no longer what the plan was made for, NotFound, Forbidden, Unprocessable, TryLater.
        """
        current = current or await self._read(plan)
        if current is None or _uid(current) != plan.uid:
            raise Conflict(f"{plan.change.target} is gone", why="its uid is not the one that was decided about")
        if plan.change.verb is Verb.PATCH:
            if (gone := _moved(plan, current)) is not None:
                raise Conflict(gone)
            nobody = Intent("dry-run", "", "", 0, plan)
            return diff.unified(current, await self._simulate(nobody, current))
        await self._remove(plan, dry_run=True)
        return f"{plan.change.verb} {plan.change.target} (uid {plan.uid})"

    async def perform(self, intent: Intent, *, first_attempt: bool, known: Object | None = None) -> Outcome:
        """Carry it out, or find out how it ended. `known`: the object that was planned for, which saves the read before
        a first attempt; the write itself tells whether it still holds.

        Raises TryLater (ClusterAway, TooManyRequests) and OutcomeUnknown: not settled, call again with
        `first_attempt=False`. Everything else is an Outcome.
        """
        try:
            match intent.plan.change.verb:
                case Verb.PATCH:
                    return await self._patch(intent, known if first_attempt else None)
                case Verb.DELETE | Verb.EVICT:
                    return await self._take_away(intent, first_attempt=first_attempt)
                case verb:
                    raise InvalidInput(f"{verb} is not a write to the cluster")
        except Forbidden as error:
            return Outcome(IntentState.FAILED, str(error), reason=Reason.ACTION_FORBIDDEN)
        except GiveUp as error:
            return Outcome(IntentState.FAILED, str(error), reason=Reason.ACTION_FAILED)

    async def abandon(self, intent: Intent, epoch: int) -> Outcome:
        """Give up an effect that may still be on its way (rule 6): raise the fence, then no copy of it can land.

        APPLIED where it had landed after all. A removal cannot be fenced: it is read back and the message says so.
        Raises like perform, and InvalidInput where `epoch` is not higher than the intent's.
        """
        plan = intent.plan
        if epoch <= intent.epoch:
            raise InvalidInput(f"epoch {epoch} does not fence epoch {intent.epoch}")
        for _ in range(MAX_SENDS):
            current = await self._read(plan)
            if plan.change.verb is not Verb.PATCH:
                if _removed(plan, current):
                    return _applied(f"{plan.change.target} is gone", current)
                return _stale(f"{plan.change.target} is still there; a request on its way may still remove it", current)
            if current is None or _uid(current) != plan.uid:
                return _stale(f"{plan.change.target} is gone; nothing can land any more", current)
            if _ours(intent, current):
                return _applied("it had been applied", current)
            void = not patches.versioned(plan) and _moved(plan, current)
            if void or patches.fence_of(current, intent.run_id) >= epoch:
                return _stale("given up; no copy of it can land any more", current)
            try:
                await self._cluster.patch(
                    plan.change.target, patches.fence(intent, epoch, current), as_user=_as_user(plan))
            except (Conflict, NotFound, OutcomeUnknown):
                continue
        raise OutcomeUnknown(f"{plan.change.target} changes too fast to be fenced", next_step="try again")

    async def _patch(self, intent: Intent, known: Object | None) -> Outcome:
        plan = intent.plan
        unsettled: OutcomeUnknown | None = None
        for _ in range(MAX_SENDS):
            current, known = known or await self._read_back(plan, unsettled), None
            if (settled := _settled(intent, current)) is not None:
                return settled
            assert current is not None  # noqa: S101 _settled answers for None
            if await self._changes_nothing(intent, current):
                return _noop(f"{plan.change.target} already is as planned", current)
            try:
                done = await self._cluster.patch(
                    plan.change.target, patches.effect(intent, current), as_user=_as_user(plan))
                return _applied(plan.change.summary, done)
            except OutcomeUnknown as error:
                unsettled = error
            except (Conflict, NotFound):
                continue  # something moved between the read and the write: look again
            except TryLater:
                if unsettled is not None:  # this one was not sent, an earlier one may have been applied
                    raise unsettled from None
                raise
        return await self._after_sends(intent, unsettled)

    async def _after_sends(self, intent: Intent, unsettled: OutcomeUnknown | None) -> Outcome:
        current = await self._read_back(intent.plan, unsettled)
        if (settled := _settled(intent, current)) is not None:
            return settled
        if unsettled is not None:
            raise unsettled
        if patches.versioned(intent.plan):
            return _stale(f"{intent.plan.change.target} changes too fast to be written; nothing was changed", current)
        return Outcome(
            IntentState.FAILED, f"the patch does not fit {intent.plan.change.target}: the API server refuses it "
            "although the object is unchanged", current, Reason.ACTION_FAILED)

    async def _changes_nothing(self, intent: Intent, current: Object) -> bool:
        # A plan with a diff was simulated on this very generation, so its spec cannot already be as planned. Where only
        # the resourceVersion tells (C6), the object may have become so since.
        if intent.plan.diff and not patches.versioned(intent.plan):
            return False
        try:
            after = await self._simulate(intent, current)
        except (Conflict, NotFound):
            return False  # the write itself will find out, and is read back
        return diff.comparable(after) == diff.comparable(current)

    async def _simulate(self, intent: Intent, current: Object) -> Object:
        operations = patches.effect(intent, current)
        return await self._cluster.patch(
            intent.plan.change.target, operations, as_user=_as_user(intent.plan), dry_run=True)

    async def _take_away(self, intent: Intent, *, first_attempt: bool) -> Outcome:
        """Delete or evict. The uid is compared before each request: a wrong one at the eviction API burns budget."""
        plan = intent.plan
        sent = not first_attempt
        unsettled: OutcomeUnknown | None = None
        for _ in range(MAX_SENDS):
            current = await self._read_back(plan, unsettled)
            if _removed(plan, current):
                if sent:
                    return _applied(f"{plan.change.target} is gone", current)
                return _noop(f"{plan.change.target} is going or gone already", current)
            try:
                sent = True
                await self._remove(plan, dry_run=False)
                return _applied(plan.change.summary, current)
            except OutcomeUnknown as error:
                unsettled = error
            except (Conflict, NotFound):
                continue
            except TryLater:
                if unsettled is not None:
                    raise unsettled from None
                raise
        if _removed(plan, current := await self._read_back(plan, unsettled)):
            return _applied(f"{plan.change.target} is gone", current)
        raise unsettled or OutcomeUnknown(f"{plan.change.target} is still there after {MAX_SENDS} requests")

    async def _remove(self, plan: Plan, *, dry_run: bool) -> None:
        target = plan.change.target
        if plan.change.verb is Verb.EVICT:
            await self._cluster.evict(target, as_user=_as_user(plan), uid=plan.uid, dry_run=dry_run)
        else:
            await self._cluster.delete(
                target, as_user=_as_user(plan), uid=plan.uid, grace_seconds=plan.change.grace_seconds, dry_run=dry_run)

    async def _read(self, plan: Plan) -> Object | None:
        target = plan.change.target
        return await self._cluster.get(target.kind, target.namespace, target.name)

    async def _read_back(self, plan: Plan, unsettled: OutcomeUnknown | None) -> Object | None:
        """The object now. Where it cannot be read and something was sent, that stays unknown."""
        try:
            return await self._read(plan)
        except TryLater:
            if unsettled is not None:
                raise unsettled from None
            raise


def _settled(intent: Intent, current: Object | None) -> Outcome | None:
    """How a patch ended, as far as its object tells; None where it is still due."""
    plan = intent.plan
    if current is None or _uid(current) != plan.uid:
        return _stale(f"{plan.change.target} is gone (uid {plan.uid})", current)
    if _ours(intent, current):
        return _applied(plan.change.summary, current)
    if (newer := patches.fence_of(current, intent.run_id)) > intent.epoch:
        return _stale(f"{plan.change.target} was written under epoch {newer}, newer than ours, {intent.epoch}", current)
    moved = _moved(plan, current)
    return _stale(moved, current) if moved else None


def _ours(intent: Intent, current: Object) -> bool:
    """Our marker is there, and not merely copied to an object whose generation never moved."""
    marker = dig(current, "metadata", "annotations", default={})
    same = isinstance(marker, Mapping) and marker.get(names.LAST_ACTION) == intent.action_id
    return same and (patches.versioned(intent.plan) or _generation(current) > intent.plan.generation)


def _moved(plan: Plan, current: Object) -> str | None:
    """Why the object is no longer what was decided about, or None."""
    if not patches.versioned(plan):
        now = _generation(current)
        return None if now == plan.generation else f"{plan.change.target} is at generation {now}, was {plan.generation}"
    version = str(dig(current, "metadata", "resourceVersion", default=""))
    if version == plan.resource_version or patches.unchanged_values(plan.change.before, current):
        return None
    return f"{plan.change.target} is at version {version}, was {plan.resource_version}, and the planned values changed"


def _removed(plan: Plan, current: Object | None) -> bool:
    """Gone, replaced by a namesake, or terminating."""
    return current is None or _uid(current) != plan.uid or bool(dig(current, "metadata", "deletionTimestamp"))


def _applied(message: str, current: Object | None) -> Outcome:
    return Outcome(IntentState.APPLIED, message, current, Reason.ACTION_APPLIED)


def _noop(message: str, current: Object | None) -> Outcome:
    return Outcome(IntentState.NOOP, message, current, Reason.ALREADY_SO)


def _stale(message: str, current: Object | None) -> Outcome:
    return Outcome(IntentState.STALE, message, current, Reason.TARGET_CHANGED)


def _uid(obj: Object) -> str:
    return str(dig(obj, "metadata", "uid", default=""))


def _generation(obj: Object) -> int:
    return int(dig(obj, "metadata", "generation", default=0))


def _as_user(plan: Plan) -> str:
    """`namespace:name` → the user name; an empty one stays unusable, and the writer refuses it."""
    return f"system:serviceaccount:{plan.service_account}" if plan.service_account else ""


