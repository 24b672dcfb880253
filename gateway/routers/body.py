"""Reads requests strictly: authenticate, check query parameters, then read a bounded JSON body.

Bodies must be strict JSON of the right content type, without NUL characters.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.body_limit import LARGE_BODY, SMALL_BODY, lower_body_limit
from gateway.core.exceptions import UnsupportedMediaType, ValidationFailed
from gateway.core.json_body import parse_json
from gateway.dialects.errors import safe_path
from gateway.routers.dependencies import RequireCaller

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_LIMIT_ATTRIBUTE: Final = "body_limit"


def body_limit(limit: int) -> Callable[[Endpoint], Endpoint]:
    """Set a route's maximum body size.

    The default is 64 KiB, or 10 MiB outside `StrictJsonRoute`.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _LIMIT_ATTRIBUTE, limit)
        return endpoint

    return declare


large_body = body_limit(LARGE_BODY)


class StrictJsonRequest(Request):
    """A request whose `json()` uses `parse_json` and raises 415 for other content types."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            require_json_content_type(self)
            self._json = parse_json(body)
        return self._json


class StrictJsonRoute(APIRoute):
    """The class of every route under `/api`: `APIRouter(route_class=StrictJsonRoute)`.

    A declared body is checked before FastAPI parses it (FastAPI would answer 400 for unreadable JSON); a
    route that takes the `Request` itself calls `await request.json()`. The caller is authenticated first, so
    that bodies of rejected callers are not read. Unknown query parameters are rejected.
    """

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        field = self.body_field
        is_form = field is not None and isinstance(field.field_info, params.Form)
        limit: int = getattr(self.endpoint, _LIMIT_ATTRIBUTE, SMALL_BODY)
        callers = [call for call in _dependency_callables(self.dependant) if isinstance(call, RequireCaller)]
        known_parameters = _query_names(self.dependant)

        async def handle(request: Request) -> Response:
            lower_body_limit(request.scope, limit)
            query = request.scope["query_string"]
            if query or field is not None:
                for caller in callers:
                    await caller(request)
            if query:
                _check_query(query, known_parameters)
            if is_form:
                await _check_form(request)
                return await handler(request)
            strict_request = StrictJsonRequest(request.scope, request.receive)
            if field is not None and await strict_request.body():
                await strict_request.json()
            return await handler(strict_request)

        return handle


def _dependency_callables(dependant: Dependant) -> list[Callable[..., Any]]:
    """Return all callables a route depends on, recursively."""
    callables = [] if dependant.call is None else [dependant.call]
    for dependency in dependant.dependencies:
        callables += _dependency_callables(dependency)
    return callables


def _query_names(dependant: Dependant) -> frozenset[str]:
    """Return the query parameters that a route and its dependencies declare."""
    names = {parameter.alias for parameter in dependant.query_params}
    return frozenset(names.union(*map(_query_names, dependant.dependencies)))


def _check_query(query: bytes, known: frozenset[str]) -> None:
    """Raise ValidationFailed for the first unknown query parameter."""
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in known:
            accepted = f"It takes {', '.join(sorted(known))}." if known else "It takes none."
            raise ValidationFailed(
                f"This route has no query parameter of this name. {accepted}",
                param=safe_path((name,)),
            )


def require_json_content_type(request: Request) -> None:
    """Raise `UnsupportedMediaType` unless the body is declared as uncompressed JSON."""
    media, _, _ = request.headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise UnsupportedMediaType
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Compressed bodies are not supported. Send the body uncompressed.")


async def _check_form(request: Request) -> None:
    media, _, _ = request.headers.get("content-type", "").partition(";")
    if media.strip().lower() not in _FORM_TYPES:
        raise UnsupportedMediaType("The request body must be a form.")
    for name, value in (await request.form()).multi_items():
        if "\x00" in name or (isinstance(value, str) and "\x00" in value):
            raise ValidationFailed("A form field contains a NUL character.")


async def read_json_bytes(request: Request) -> bytes:
    """Return the body of a route whose dialect parses it.

    Raises 415 if it is not declared as JSON.
    """
    require_json_content_type(request)
    return await request.body()
