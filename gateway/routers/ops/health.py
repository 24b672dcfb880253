"""Routes for liveness, readiness, component health and Prometheus metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.metrics import exposition
from gateway.core.version import VERSION
from gateway.domain.config.catalog import Catalog
from gateway.tools.code.isolation import detect_isolation

CHECK_SECONDS = 2.0

T = TypeVar("T")


class HealthChecks(Protocol):
    """What the health routes need from the container."""

    draining: bool
    catalog: Catalog

    async def database_ready(self) -> bool: ...
    async def valkey_state(self) -> str: ...


router = APIRouter(tags=["health"])


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Component health")
async def health(request: Request) -> Response:
    """200 while the gateway can serve, else 503.

    `status` is `ok`, `degraded`, `draining` or `unavailable`.
    """
    return _response(await _state(request))


@router.head("/health/ready", include_in_schema=False)
@router.get("/health/ready", summary="Readiness")
async def ready(request: Request) -> Response:
    """200 if the database is reachable and no shutdown is in progress.

    Without Valkey, ready but degraded.

    `checks.valkey` is `up`, `down`, or `refusing` if Valkey answers with errors.
    """
    return _response(await _state(request))


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live", summary="Liveness")
async def live() -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"description": "The Prometheus text format.", "content": {"text/plain": {}}}},
)
async def prometheus() -> Response:
    page = await asyncio.to_thread(exposition.render)
    return Response(page, headers={"content-type": exposition.CONTENT_TYPE})


async def _state(request: Request) -> dict[str, Any]:
    container: HealthChecks | None = getattr(request.app.state, "container", None)
    if container is None:
        database, valkey, draining = False, "down", False
    else:
        database, valkey = await asyncio.gather(
            _with_timeout(container.database_ready(), False), _with_timeout(container.valkey_state(), "down")
        )
        draining = container.draining or getattr(request.app.state, "closing_connections", False)
    if not database:
        status = "unavailable"
    elif draining:
        status = "draining"
    else:
        status = "ok" if valkey == "up" else "degraded"
    checks = {"database": "up" if database else "down", "valkey": valkey}
    return {
        "status": status,
        "version": VERSION,
        "checks": checks,
        "sandbox": await _sandbox_isolation(container),
    }


async def _sandbox_isolation(container: HealthChecks | None) -> str:
    """Return the code tool's isolation: `bwrap`, `process`, `none` or `off`."""
    if container is None or "code" not in container.catalog.tools.enabled:
        return "off"
    isolation = await asyncio.to_thread(detect_isolation)
    return isolation.name


async def _with_timeout(check: Awaitable[T], default: T) -> T:
    """Return the check's result, or `default` if it takes too long."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check
    except TimeoutError:
        return default


def _response(state: dict[str, Any]) -> Response:
    serving = state["status"] in ("ok", "degraded")
    return Response(orjson.dumps(state), 200 if serving else 503, media_type="application/json")
