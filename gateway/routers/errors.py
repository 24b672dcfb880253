"""Converts all errors to the error shape of docs/API.md, "Errors"."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import (
    AuthenticationFailed,
    BodyTooLarge,
    Conflict,
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PermissionDenied,
    RateLimited,
    Unavailable,
    UnsupportedEndpoint,
    UnsupportedMediaType,
    ValidationFailed,
)
from gateway.core.metrics import registry as metrics
from gateway.dialects.errors import error_response_parts, validation_error
from gateway.domain.request_outcome import RequestOutcome
from gateway.routers.unsupported_endpoints import find_vendor_endpoint

_BY_STATUS: dict[int, type[GatewayError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
    422: ValidationFailed,
    429: RateLimited,
    503: Unavailable,
}


def install_error_handlers(app: FastAPI) -> None:
    """Render gateway errors, validation errors, HTTP errors and database data errors.

    Everything else propagates to `middleware.errors`, which logs it and answers 500.
    """
    app.add_exception_handler(GatewayError, _handle_gateway_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(DBAPIError, _handle_database_error)


def error_response(request: Request, error: GatewayError, extra: dict[str, str] | None = None) -> Response:
    """Return the response for `error`."""
    outcome = RequestOutcome.of(request.scope)
    status, headers, body = error_response_parts(error, request.scope["state"].get("request_id"))
    outcome.error_code = error.code
    if error.last_upstream is not None:
        outcome.record_call(*error.last_upstream)
    if status == 429:
        metrics.rate_limited_requests.labels(error.code).inc()
    return Response(body, status, {**headers, **(extra or {})})


async def _handle_gateway_error(request: Request, error: Exception) -> Response:
    return error_response(request, cast(GatewayError, error))


async def _handle_validation_error(request: Request, error: Exception) -> Response:
    errors = cast(RequestValidationError, error).errors()
    # A malformed id in the path gets the same response as an unknown one.
    if any(tuple(error_.get("loc", ()))[:1] == ("path",) for error_ in errors):
        return error_response(request, NotFound())
    return error_response(request, validation_error(errors))


async def _handle_http_error(request: Request, error: Exception) -> Response:
    raised = cast(HTTPException, error)
    # FastAPI wraps errors raised while a body is read; the cause is more specific.
    if isinstance(raised.__cause__, GatewayError):
        return error_response(request, raised.__cause__)
    if raised.status_code in (404, 405) and (
        name := find_vendor_endpoint(request.method, request.scope["path"])
    ):
        return error_response(
            request,
            UnsupportedEndpoint(f"{name} is not supported by this gateway. GET /docs lists the endpoints."),
        )
    if raised.status_code == 404:  # from the router: no route has this path
        return error_response(
            request, NotFound("There is no endpoint at this path. GET /docs lists the endpoints.")
        )
    error_class = _BY_STATUS.get(raised.status_code)
    if error_class is None:
        error_class = InvalidRequest if 400 <= raised.status_code < 500 else GatewayError
    allow_header = {name: value for name, value in (raised.headers or {}).items() if name.lower() == "allow"}
    return error_response(request, error_class(), allow_header)


async def _handle_database_error(request: Request, error: Exception) -> Response:
    if _is_data_error(cast(DBAPIError, error)):
        return error_response(
            request, ValidationFailed("A value cannot be stored: it is out of range or malformed.")
        )
    raise error


def _is_data_error(error: DBAPIError) -> bool:
    """Return whether the error is SQLSTATE class 22 or an encoding error of the driver."""
    original: Any = error.orig
    state = str(getattr(original, "sqlstate", "") or "")
    cause = type(getattr(original, "__cause__", None)).__name__
    return state.startswith("22") or cause == "DataError" or type(error).__name__ == "DataError"
