"""kopf as we use it: it looks, and leaves nothing on anybody's objects."""
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import kopf
import pytest

from akeso.handlers.watch import Watch, settings
from akeso.model.api.kinds import CUSTOM_KINDS
from akeso.model.names import GROUP


def test_nothing_is_posted_and_what_kopf_could_write_would_be_under_our_name() -> None:
    chosen = settings()
    assert chosen.posting.enabled is False
    assert chosen.persistence.finalizer.startswith(f"{GROUP}/")
    assert chosen.networking.request_timeout is not None
    assert chosen.watching.client_timeout > chosen.watching.server_timeout


async def watch(seen: list[tuple[str, Mapping[str, Any]]]) -> kopf.OperatorRegistry:
    return Watch(lambda event, obj: seen.append((event, obj)), asyncio.get_running_loop())._registry()


async def test_only_events_are_handled_so_no_finalizer_and_no_annotation_is_ever_added() -> None:
    registry = await watch([])
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert not registry._indexing.get_all_handlers()
    watched = {h.selector.any_name or h.selector.plural for h in registry._watching.get_all_handlers() if h.selector}
    assert watched == {*(k.plural for k in CUSTOM_KINDS), "namespaces"}


@pytest.mark.parametrize(("type_", "told"), [("MODIFIED", "MODIFIED"), ("DELETED", "DELETED"), (None, "ADDED")])
async def test_an_event_reaches_the_main_loop_with_its_type(type_: str | None, told: str) -> None:
    seen: list[tuple[str, Mapping[str, Any]]] = []
    registry = await watch(seen)
    handler = registry._watching.get_all_handlers()[0]
    obj = {"kind": "Workflow", "metadata": {"name": "w", "generation": 2}, "spec": {"steps": []}}
    await handler.fn(event={"type": type_, "object": obj})
    assert seen == []  # not in the hand of kopf's thread
    await asyncio.sleep(0)
    [(event, passed)] = seen
    assert (event, passed["kind"], passed["metadata"]["name"]) == (told, "Workflow", "w")
    assert passed["spec"] == obj["spec"]


async def test_a_kopf_that_dies_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dies(**_: Any) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(kopf, "operator", dies)
    watching = Watch(lambda *_: None, asyncio.get_running_loop())
    watching.start()
    with pytest.raises(RuntimeError, match="kopf ended"):
        await asyncio.wait_for(watching.ended(), 5)
    await asyncio.to_thread(watching._thread.join, 5)
    assert not watching.alive


async def test_a_watch_stops_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def until_stopped(*, stop_flag: asyncio.Event, **_: Any) -> None:
        await stop_flag.wait()

    monkeypatch.setattr(kopf, "operator", until_stopped)
    watching = Watch(lambda *_: None, asyncio.get_running_loop())
    watching.start()
    assert watching.alive
    await asyncio.to_thread(watching.stop, 5)
    assert not watching.alive
