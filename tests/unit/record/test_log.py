"""Each line is one JSON object with the run's id, from our own code and from the libraries, without secrets."""
from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from akeso.record import log

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    log.configure("json", "info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_and_those_of_the_libraries_look_alike_and_carry_the_run(stream: io.StringIO) -> None:
    with log.run_context("run-1", workflow="w"):
        structlog.get_logger("akeso.engine").info("planned", action="restart_deployment")
        logging.getLogger("kopf.objects").warning("Handler %r failed", "x")
    structlog.get_logger("akeso").info("outside")
    ours, theirs, outside = lines(stream)
    assert (ours["event"], ours["run_id"], ours["level"]) == ("planned", "run-1", "info")
    assert ours["logger"] == "akeso.engine"
    assert (theirs["event"], theirs["run_id"], theirs["workflow"]) == ("Handler 'x' failed", "run-1", "w")
    assert "run_id" not in outside
    assert ours["timestamp"].endswith("Z")


async def test_runs_at_the_same_time_keep_their_own_ids(stream: io.StringIO) -> None:
    async def work(run_id: str) -> None:
        with log.run_context(run_id):
            await asyncio.sleep(0)
            structlog.get_logger("akeso").info(run_id)

    await asyncio.gather(*(work(f"r{n}") for n in range(5)))
    assert all(line["run_id"] == line["event"] for line in lines(stream))


def test_secrets_never_reach_the_log(stream: io.StringIO) -> None:
    logger = structlog.get_logger("akeso")
    logger.info("call", password="hunter2", headers={"Authorization": "Bearer hunter2hunter2"}, url="postgresql://a:hunter2@h/d")
    logger.info(f"sent Bearer {TOKEN} and password=hunter2 to them", parts=[f"token: {TOKEN}"])
    try:
        raise ValueError("postgresql://me:hunter2@host/db is away")
    except ValueError:
        logger.exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert TOKEN not in stream.getvalue()
    assert "ValueError" in lines(stream)[2]["exception"]


def test_hostile_text_stays_one_line_of_json_of_bounded_length(stream: io.StringIO) -> None:
    structlog.get_logger("akeso").info("alert", label="a\nb\0\ud800", long="x" * 1_000_000)
    [line] = lines(stream)
    assert "alert" in line["event"]
    assert len(stream.getvalue()) < 20_000


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    structlog.get_logger("akeso").debug("nothing")
    assert stream.getvalue() == ""
