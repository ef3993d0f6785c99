"""The HTTP application: POST /v1/alerts, GET /healthz, /readyz, /metrics. No middleware: it would cost each alert."""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from akeso.errors import AkesoError, GiveUp
from akeso.web.answers import answer, problem
from akeso.web.health import Dependency, Pulse, readiness
from akeso.web.receive import Receiver

STALLED_SECONDS = 5.0  # an event loop that is so late answers nobody in time: let the kubelet restart it


@dataclass(slots=True)
class WebServices:
    """receiver takes alerts; dependencies are for /readyz; metrics is the text of /metrics; pulse runs beside it."""

    receiver: Receiver
    dependencies: Sequence[Dependency] = ()
    metrics: Callable[[], bytes] = lambda: b""
    metrics_type: str = "text/plain; version=0.0.4; charset=utf-8"
    pulse: Pulse = field(default_factory=Pulse)


def create_app(services: WebServices) -> Starlette:
    """The application. It starts nothing and owns nothing: whoever serves it runs `services.pulse.run()` as well."""

    async def alerts(request: Request) -> Response:
        return await services.receiver(request)

    async def healthz(request: Request) -> Response:
        pulse = services.pulse
        alive = pulse.lag < STALLED_SECONDS
        body = {"alive": alive, "pid": os.getpid(), "loopLagSeconds": round(pulse.lag, 3),
                "worstLoopLagSeconds": round(pulse.worst, 3)}
        return answer(200 if alive else 503, body)

    async def readyz(request: Request) -> Response:
        ready, detail = await readiness(services.dependencies)
        return answer(200 if ready else 503, detail)

    async def metrics(request: Request) -> Response:
        return Response(services.metrics(), media_type=services.metrics_type)

    return Starlette(
        routes=[
            Route("/v1/alerts", alerts, methods=["POST"]), Route("/healthz", healthz), Route("/readyz", readyz),
            Route("/metrics", metrics),
        ],
        exception_handlers={HTTPException: _http_problem, Exception: _unexpected},
    )


def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 narrows the type
    what = {404: "There is nothing here", 405: "The method is not allowed here"}.get(error.status_code, error.detail)
    explained = GiveUp(
        what, why=f"{request.method} {request.url.path}"[:200],
        next_step="POST alerts to /v1/alerts; GET /healthz, /readyz and /metrics")
    return problem(error.status_code, explained, error.headers)


def _unexpected(request: Request, error: Exception) -> Response:
    """A mistake of ours. The server logs it with its trace; Alertmanager sends the alerts again after a 500."""
    return problem(500, AkesoError("Something went wrong inside Akeso", why=type(error).__name__,
                                   next_step="look for its trace in the log of the operator"))
