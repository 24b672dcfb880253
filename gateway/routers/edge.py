"""How a route reads its body: JSON of the strict kind, of the right content type, and text without NUL."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import params
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import UnsupportedMediaType, ValidationFailed
from gateway.core.json_body import parse_json

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class EdgeRequest(Request):
    """A request whose `json()` is `parse_json`'s, refused with 415 where it is not sent as JSON."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            require_json(self)
            self._json = parse_json(body)
        return self._json


class EdgeRoute(APIRoute):
    """The class of every route that takes a body: `APIRouter(route_class=EdgeRoute)`.

    A route with a declared body gets it checked before FastAPI looks at it (which would answer 400 for
    what it cannot read); one that takes the `Request` itself calls `await request.json()`.
    """

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        field = self.body_field
        if field is None:

            async def plain(request: Request) -> Response:
                return await handler(EdgeRequest(request.scope, request.receive))

            return plain
        if isinstance(field.field_info, params.Form):

            async def form(request: Request) -> Response:
                await _check_form(request)
                return await handler(request)

            return form

        async def body(request: Request) -> Response:
            edge = EdgeRequest(request.scope, request.receive)
            if await edge.body():
                await edge.json()
            return await handler(edge)

        return body


def require_json(request: Request) -> None:
    """Raise `UnsupportedMediaType` unless the body is said to be plain JSON."""
    media, _, _ = request.headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise UnsupportedMediaType
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("A compressed body is not read here; send it as it is.")


async def _check_form(request: Request) -> None:
    media, _, _ = request.headers.get("content-type", "").partition(";")
    if media.strip().lower() not in _FORMS:
        raise UnsupportedMediaType("The request body must be a form.")
    for name, value in (await request.form()).multi_items():
        if "\x00" in name or (isinstance(value, str) and "\x00" in value):
            raise ValidationFailed("The form has a NUL character in a text.")


async def json_bytes(request: Request) -> bytes:
    """The body of a route whose dialect parses it; refused with 415 where it is not sent as JSON."""
    require_json(request)
    return await request.body()
