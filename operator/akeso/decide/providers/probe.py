"""What a probe of an endpoint finds; it goes into the status of its ModelEndpoint."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """`features`: what was found to work: json_schema, deterministic, logprobs. `message`: for people."""

    answers: bool
    message: str
    latency_milliseconds: int = 0
    features: tuple[str, ...] = ()
