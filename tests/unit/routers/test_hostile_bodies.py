"""Every route does a bounded amount of work for a hostile body of any shape."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import httpx
import orjson
import pytest

from gateway.core.body_limit import LARGE_BODY, MEDIUM_BODY, SMALL_BODY
from gateway.core.json_body import MAX_VALUES
from gateway.core.settings import Settings
from gateway.dialects import base, errors
from gateway.main import create_app
from gateway.routers import errors as router_errors
from tests.support.app_without_services import app_without_services

# Maximum validation errors created for one request, however many values are invalid.
MOST_ERRORS = 60
MANY = 2000
# Memory per byte of a body (its text, the parsed value, one error), besides the base cost of a request.
MOST_BYTES_EACH = 60
MOST_BYTES = 4 * 1024 * 1024

# JSON Schemas, role payloads and OpenAI's unknown fields accept any members.
ACCEPTED = 503

Json = dict[str, Any]
Step = str | int


class Case(NamedTuple):
    """A route with a body schema; `limit` is its maximum body size."""

    method: str
    path: str
    limit: int
    name: str
    body: bytes


@cache
def _document() -> Json:
    return create_app(Settings()).openapi()


def _resolved(schema: Json) -> Json:
    if "$ref" in schema:
        return _resolved(_document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    return schema


def _alternatives(schema: Json) -> list[Json]:
    schema = _resolved(schema)
    return [one for part in schema.get("anyOf", [schema]) for one in [_resolved(part)]]


def _sample(schema: Json) -> Any:
    """Return a small value that the schema accepts."""
    one = _alternatives(schema)[0]
    if "enum" in one or "const" in one:
        return one["enum"][0] if "enum" in one else one["const"]
    match one.get("type"):
        case "string" if one.get("format") == "email":
            return "a@example.org"
        case "string":
            return "correct horse battery staple"[: one.get("maxLength", 99)]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "array":
            return [_sample(one["items"])] if one.get("minItems") else []
        case "object" | None:
            return {name: _sample(one["properties"][name]) for name in one.get("required", ())}
    raise AssertionError(one)


def _places(schema: Json, at: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Json]]:
    """Yield every list and object in a body by its path."""
    for one in _alternatives(schema):
        if one.get("type") == "array":
            yield at, one
            yield from _places(one.get("items", {}), (*at, 0))
        elif one.get("type") == "object" or "properties" in one:
            yield at, one
            for name, part in one.get("properties", {}).items():
                yield from _places(part, (*at, name))


def _put(schema: Json, at: tuple[Step, ...], value: Any) -> Any:
    """Return a valid body with `value` at the path."""
    if not at:
        return value
    step, *rest = at
    for one in _alternatives(schema):
        if step == 0 and one.get("type") == "array":
            return [_put(one["items"], tuple(rest), value)]
        if isinstance(step, str) and step in one.get("properties", {}):
            return {**_sample(one), step: _put(one["properties"][step], tuple(rest), value)}
    raise AssertionError(at)


def _shapes(one: Json) -> Iterator[tuple[str, Any]]:
    if one.get("type") == "array":
        for name, item in (("numbers", 1), ("objects", {}), ("lists", []), ("texts", ""), ("nulls", None)):
            yield f"many {name}", [item] * MANY
        return
    for name, item in (("numbers", 1), ("objects", {}), ("long texts", "x" * 600)):
        wide = {f"k{at}": item for at in range(MANY if item != "x" * 600 else 70)}
        yield f"many members, {name}", {**_sample(one), **wide}
        yield f"many members before the known ones, {name}", {**wide, **_sample(one)}


def _limit_of(path: str) -> int:
    if path.startswith("/v1/") or path in ("/api/chat", "/api/chat/stream", "/api/v1/llm/generate"):
        return LARGE_BODY
    if path.startswith(("/api/conversations", "/api/v1/media", "/api/chat/")):
        return MEDIUM_BODY
    return SMALL_BODY


def _bodies() -> Iterator[tuple[str, str, Json]]:
    for path, operations in _document()["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                yield method, path, content["application/json"]["schema"]


def _cases(method: str, path: str, schema: Json) -> Iterator[Case]:
    limit = _limit_of(path)
    for at, one in _places(schema):
        for name, value in _shapes(one):
            body = orjson.dumps(_put(schema, at, value))
            yield Case(method, path, limit, f"{'.'.join(map(str, at)) or 'body'}: {name}", body)
    yield Case(method, path, limit, "a list", orjson.dumps([1] * MANY))
    yield Case(method, path, limit, "deep", b"[" * MANY + b"]" * MANY)


ROUTES = [pytest.param(*route, id=f"{route[0].upper()} {route[1]}") for route in _bodies()]


@contextmanager
def _counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the validation errors of each rejected request."""
    counts: list[int] = []

    def count(given: Any) -> Any:
        given = list(given)
        counts.append(len(given))
        return errors.validation_error(given)

    with monkeypatch.context() as patch:
        patch.setattr(base, "validation_error", count)
        patch.setattr(router_errors, "validation_error", count)
        yield counts


async def _ask(http: httpx.AsyncClient, case: Case) -> httpx.Response:
    path = case.path.replace("{", "").replace("}", "")
    origin = {"origin": "http://gateway", "x-gateway-console": "1"}
    headers = {"content-type": "application/json", **origin}
    return await http.request(case.method, path, content=case.body, headers=headers)


@pytest.mark.parametrize(("method", "path", "schema"), ROUTES)
async def test_a_wide_or_deep_body_is_rejected_with_few_errors_and_little_memory(
    method: str, path: str, schema: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = httpx.ASGITransport(app_without_services(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        for case in _cases(method, path, schema):
            tracemalloc.start()
            with _counted(monkeypatch) as counts:
                answer = await _ask(http, case)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert 400 <= answer.status_code < 500 or answer.status_code == ACCEPTED, (case.name, answer.text)
            assert max(counts, default=0) <= MOST_ERRORS, case.name
            assert peak < MOST_BYTES + MOST_BYTES_EACH * len(case.body), case.name


@pytest.mark.parametrize(("method", "path", "schema"), ROUTES)
async def test_a_body_over_the_limit_of_its_route_is_rejected_before_parsing(
    method: str, path: str, schema: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = _limit_of(path)
    body = b"{" + b",".join(b'"%d":1' % at for at in range(900_000)) + b"}"
    case = Case(method, path, limit, "wide", body)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app_without_services(path)), base_url="http://gateway"
    ) as http:
        with _counted(monkeypatch) as counts:
            answer = await _ask(http, case)
        assert len(body) < LARGE_BODY
        assert body.count(b",") > MAX_VALUES
        assert answer.status_code == (422 if limit == LARGE_BODY else 413), answer.text
        assert counts == []
        exact = Case(method, path, limit, "at the limit", b" " * limit)
        assert (await _ask(http, exact)).status_code != 413
        beyond = Case(method, path, limit, "beyond the limit", b" " * (limit + 1))
        assert (await _ask(http, beyond)).status_code == 413
