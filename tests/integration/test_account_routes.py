"""The whole application.

An account, its API key, what they may call, and the OpenAPI document.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from gateway.core.settings import Settings
from gateway.main import create_app
from gateway.routers.dependencies import document_api_key_header
from tests.support.accounts import PASSWORD, SECRET, status_and_code

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def application(database_url: str, redis_url: str) -> FastAPI:
    return create_app(
        Settings(
            _env_file=None,
            database_url=SecretStr(database_url),
            redis_url=SecretStr(redis_url),
            jwt_secret=SecretStr(SECRET),
        )
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(application: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """One application for the module: its tests share nothing but the routes."""
    transport = httpx.ASGITransport(app=application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client,
    ):
        yield client


async def test_registration_leads_to_an_answer_of_the_api(client: httpx.AsyncClient) -> None:
    body = {"email": f"{secrets.token_hex(8)}@example.com", "password": PASSWORD}
    assert (await client.post("/api/auth/register/", json=body)).status_code == 201
    tokens = (await client.post("/api/auth/login", json=body)).json()
    person = {"authorization": f"Bearer {tokens['access_token']}"}
    assert (await client.get("/api/user/me/", headers=person)).json()["email"] == body["email"]
    made = await client.post("/api/user/api-keys/", json={"name": "ci"}, headers=person)
    service = {"authorization": f"Bearer {made.json()['secret']}"}
    assert "auto" in [
        model["id"] for model in (await client.get("/v1/models", headers=service)).json()["data"]
    ]
    assert status_and_code(await client.get("/v1/models", headers=person)) == (403, "forbidden")
    assert status_and_code(await client.get("/api/user/me", headers=service)) == (403, "forbidden")
    assert status_and_code(await client.get("/v1/models")) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"null", b"[]", b"[" * 10_000, b'{"password":NaN}', b'{"password":1e999}', b"\xff\xfe"),
        b'{"email":"a\\u0000@b.de","password":"x"}',
        b'{"email":"\\ud800@b.de","password":"x"}',
    ],
)
@pytest.mark.parametrize("path", ["register", "login", "refresh", "logout"])
async def test_a_malformed_body_is_rejected(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.post(f"/api/auth/{path}", content=body, headers=headers)
    assert status_and_code(answer) == (422, "validation_failed")


async def test_a_body_of_another_content_type_is_rejected(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/auth/login", content=b"{}", headers={"content-type": "text/plain"})
    assert status_and_code(answer) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"username=%00&password=%ff%fe"),
        ("application/x-www-form-urlencoded", b"username=a&password=\xff\xfe&grant_type=password"),
        ("application/x-www-form-urlencoded", b"username=a"),
        ("application/x-www-form-urlencoded", b"username=a&password=b&grant_type=implicit"),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
        ("multipart/form-data", b"nonsense"),
        ("application/json", b'{"username":"a","password":"b"}'),
    ],
)
async def test_a_malformed_form_is_rejected(
    client: httpx.AsyncClient, content_type: str, body: bytes
) -> None:
    answer = await client.post("/api/auth/token", content=body, headers={"content-type": content_type})
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["type"] in ("invalid_request_error", "authentication_error")


async def test_the_openapi_document_lists_the_allowed_callers(application: FastAPI) -> None:
    schema = document_api_key_header(application.openapi())
    schemes = schema["components"]["securitySchemes"]
    assert schemes["Access token"]["flows"]["password"]["tokenUrl"] == "/api/auth/token"
    assert schemes["API key"]["scheme"] == "bearer"
    assert schemes["X-API-Key"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    paths = schema["paths"]
    assert paths["/api/user/me"]["get"]["security"] == [{"Access token": []}]
    assert paths["/v1/models"]["get"]["security"] == [{"API key": []}, {"X-API-Key": []}]
    assert "security" not in paths["/api/auth/login"]["post"]
    assert {"401", "409"} <= set(paths["/api/user/me"]["delete"]["responses"])
    secret = schema["components"]["schemas"]["LoginBody"]["properties"]["password"]
    assert (secret["format"], secret["writeOnly"]) == ("password", True)
