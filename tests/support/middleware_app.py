"""A small application with the real middleware: it reads bodies, fails and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, FastAPI, Form, Query
from pydantic import BaseModel, ConfigDict, EmailStr, Field, field_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gateway.core.exceptions import (
    CircuitOpen,
    GatewayError,
    InvalidApiKey,
    RateLimited,
    TurnInProgress,
    UpstreamRateLimited,
)
from gateway.core.settings import Settings
from gateway.domain.accounts.principal import Principal
from gateway.domain.request_outcome import RequestOutcome
from gateway.middleware import install_middleware
from gateway.routers.body import StrictJsonRoute, large_body
from gateway.routers.errors import install_error_handlers
from gateway.routers.ops import health

USER_ID = UUID(int=1)
ERRORS: dict[str, GatewayError] = {
    "key": InvalidApiKey(),
    "busy": TurnInProgress(),
    "limited": RateLimited(retry_after=2.25),
    "open": CircuitOpen(),
    "vendor": UpstreamRateLimited(retry_after=0.5),
}


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    content: str = Field(max_length=40)


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: str = Field(max_length=40)
    count: int = Field(default=0, ge=0, le=10)
    ratio: float = Field(default=0, ge=0, le=1)
    items: list[Item] = []
    email: EmailStr | None = None
    parent_id: UUID | None = None
    metadata: dict[str, object] = {}

    @field_validator("message")
    @classmethod
    def _polite(cls, value: str) -> str:
        if value == "rude":
            raise ValueError("Say it politely.")
        return value


inner = APIRouter(prefix="/things", route_class=StrictJsonRoute)


@inner.post("")
@large_body
async def create(body: Body) -> dict[str, object]:
    return {"message": body.message}


@inner.get("/{thing_id}")
async def read(
    thing_id: UUID, request: Request, q: Annotated[str, Query(max_length=5)] = ""
) -> dict[str, object]:
    outcome = RequestOutcome.of(request.scope)
    outcome.principal = Principal(USER_ID, "user")
    outcome.model = "m"
    return {"id": str(thing_id), "path": request.url.path}


@inner.post("/raw")
@large_body
async def raw(request: Request) -> Response:
    return JSONResponse({"size": len(str(await request.json()))})


@inner.post("/form")
async def form(username: Annotated[str, Form()]) -> dict[str, int]:
    return {"length": len(username)}


@inner.post("/upload")
@large_body
async def upload(request: Request) -> dict[str, int]:
    request.app.state.seen = 0
    async for chunk in request.stream():
        request.app.state.seen += len(chunk)
    return {"size": request.app.state.seen}


@inner.get("/errors/{name}")
async def named(name: str) -> None:
    raise ERRORS[name]


@inner.get("/bugs/key")
async def bug() -> None:
    raise KeyError("secret words of a person")


@inner.get("/bugs/late")
async def late() -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"begun"
        raise KeyError("secret words of a person")

    return StreamingResponse(body())


@inner.get("/slow/stream")
async def stream(request: Request) -> Response:
    """One event at once, the next when the test sets `app.state.go`."""
    state = request.app.state

    async def events() -> AsyncIterator[bytes]:
        try:
            yield b"data: first\n\n"
            await state.go.wait()
            yield b"data: second\n\n"
        finally:
            state.ended.set()

    return StreamingResponse(events(), media_type="text/event-stream")


def middleware_app(settings: Settings | None = None) -> FastAPI:
    """The application; `state.go` and `state.ended` are events of its stream."""
    app = FastAPI()
    app.state.go = asyncio.Event()
    app.state.ended = asyncio.Event()
    outer = APIRouter()
    outer.include_router(inner)
    app.include_router(outer, prefix="/api")
    app.include_router(health.router)
    install_error_handlers(app)
    install_middleware(app, settings or Settings(_env_file=None))  # type: ignore[call-arg]
    return app
