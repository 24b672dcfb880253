"""Known vendor endpoints that are not offered are named in the error."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from gateway import routers
from gateway.core.settings import Settings
from gateway.middleware import install_middleware
from gateway.routers.errors import install_error_handlers
from gateway.routers.unsupported_endpoints import find_vendor_endpoint


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(redirect_slashes=False)
    routers.include_all(app)
    install_error_handlers(app)
    install_middleware(app, Settings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/v1/audio/speech", "speech"),
        ("POST", "/v1/audio/transcriptions", "audio transcription"),
        ("POST", "/v1/audio/translations/", "audio translation"),
        ("POST", "/v1/moderations", "moderations"),
        ("GET", "/v1/files", "files"),
        ("GET", "/v1/files/file-1/content", "files"),
        ("POST", "/v1/uploads/upload_1/parts", "uploads"),
        ("POST", "/v1/batches", "batches"),
        ("POST", "/v1/vector_stores/vs_1/search", "vector stores"),
        ("POST", "/v1/images/edits", "image editing"),
        ("POST", "/v1/images/variations", "image variations"),
        ("POST", "/v1/completions", "text completions"),
        ("POST", "/v1/conversations", "conversations"),
        ("POST", "/v1/conversations/conv_1/items", "conversations"),
        ("GET", "/v1/fine_tuning/jobs", "fine-tuning"),
        ("POST", "/v1/assistants", "assistants"),
        ("POST", "/v1/threads/runs", "threads"),
        ("POST", "/v1/realtime/client_secrets", "realtime API"),
        ("POST", "/v1/videos", "videos"),
        ("GET", "/v1/evals", "evals"),
        ("POST", "/v1/containers", "containers"),
        ("POST", "/v1/responses/compact", "response compaction"),
        ("POST", "/v1/responses/input_tokens", "input token counts"),
        ("GET", "/v1/chat/completions", "stored chat completions"),
        ("DELETE", "/v1/chat/completions/chatcmpl-1", "stored chat completions"),
        ("GET", "/v1/chat/completions/chatcmpl-1/messages", "stored chat completions"),
        ("DELETE", "/v1/models/ft:gpt", "deletion of models"),
        ("POST", "/v1/messages", "Anthropic's messages"),
        ("POST", "/v1/messages/count_tokens", "Anthropic's messages"),
        ("POST", "/v1beta/models/gemini-flash-latest:generateContent", "Gemini's API"),
        ("POST", "/v1/models/gemini-flash-latest:generateContent", "Gemini's API"),
        ("POST", "/openai/deployments/gpt/chat/completions", "Azure's deployments"),
        ("GET", "/api/tags", "Ollama's API"),
        ("POST", "/api/generate", "Ollama's API"),
    ],
)
async def test_an_endpoint_of_a_vendor_is_named(
    http: httpx.AsyncClient, method: str, path: str, name: str
) -> None:
    answer = await http.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (
        404,
        "not_found_error",
        "unsupported_endpoint",
    )
    assert name in error["message"]
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/audiobooks", 404, "not_found"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("PUT", "/v1/chat/completions", 405, "method_not_allowed"),
        ("GET", "/v1/embeddings", 405, "method_not_allowed"),
        ("PATCH", "/v1/responses/resp_1", 405, "method_not_allowed"),
    ],
)
async def test_other_unknown_paths_keep_their_message(
    http: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await http.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_no_route_of_the_gateway_matches_a_vendor_endpoint() -> None:
    app = FastAPI()
    routers.include_all(app)
    offered = {
        (method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods
    }
    assert offered
    assert {one for one in offered if find_vendor_endpoint(*one)} == set()
