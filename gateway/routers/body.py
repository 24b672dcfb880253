"""How a route reads a request: who calls first, then known query parameters, then a body of its size.

A body is JSON of the strict kind, of the right content type, and text without NUL.
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
    """Declare how large the body of a route may be; without it 64 KiB, or 10 MiB outside `EdgeRoute`."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _LIMIT_ATTRIBUTE, limit)
        return endpoint

    return declare


large_body = body_limit(LARGE_BODY)


class StrictJsonRequest(Request):
    """A request whose `json()` is `parse_json`'s, refused with 415 where it is not sent as JSON."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            require_json_content_type(self)
            self._json = parse_json(body)
        return self._json


class StrictJsonRoute(APIRoute):
    """The class of every route under `/api`: `APIRouter(route_class=EdgeRoute)`.

    A route with a declared body gets it checked before FastAPI looks at it (which would answer 400 for
    what it cannot read); one that takes the `Request` itself calls `await request.json()`. The caller is
    authenticated before that: a body that nobody may send is not read. Unknown query parameters are refused.
    """

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        field = self.body_field
        is_form = field is not None and isinstance(field.field_info, params.Form)
        limit: int = getattr(self.endpoint, _LIMIT_ATTRIBUTE, SMALL_BODY)
        callers = [call for call in _dependency_callables(self.dependant) if isinstance(call, RequireCaller)]
        known_parameters = _query_names(self.dependant)

        async def edge(request: Request) -> Response:
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

        return edge


def _dependency_callables(dependant: Dependant) -> list[Callable[..., Any]]:
    """What a route depends on, dependencies of dependencies included."""
    callables = [] if dependant.call is None else [dependant.call]
    for dependency in dependant.dependencies:
        callables += _dependency_callables(dependency)
    return callables


def _query_names(dependant: Dependant) -> frozenset[str]:
    """The query parameters that a route and what it depends on declare."""
    names = {parameter.alias for parameter in dependant.query_params}
    return frozenset(names.union(*map(_query_names, dependant.dependencies)))


def _check_query(query: bytes, known: frozenset[str]) -> None:
    """Raise ValidationFailed at the first parameter that the route does not know: it would be ignored."""
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in known:
            accepted = f"It takes {', '.join(sorted(known))}." if known else "It takes none."
            raise ValidationFailed(
                f"This route does not know a query parameter of this name. {accepted}",
                param=safe_path((name,)),
            )


def require_json_content_type(request: Request) -> None:
    """Raise `UnsupportedMediaType` unless the body is said to be plain JSON."""
    media, _, _ = request.headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise UnsupportedMediaType
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("A compressed body is not read here; send it as it is.")


async def _check_form(request: Request) -> None:
    media, _, _ = request.headers.get("content-type", "").partition(";")
    if media.strip().lower() not in _FORM_TYPES:
        raise UnsupportedMediaType("The request body must be a form.")
    for name, value in (await request.form()).multi_items():
        if "\x00" in name or (isinstance(value, str) and "\x00" in value):
            raise ValidationFailed("The form has a NUL character in a text.")


async def read_json_bytes(request: Request) -> bytes:
    """The body of a route whose dialect parses it; refused with 415 where it is not sent as JSON."""
    require_json_content_type(request)
    return await request.body()
