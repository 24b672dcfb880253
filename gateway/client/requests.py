"""Requests for the gateway's routes and parsers of responses, for both clients."""

from __future__ import annotations

from typing import Any, Literal
from uuid import uuid4

import httpx

from gateway.client.models import Completion, Conversation, Embeddings, Generation, Model, TurnAnswer
from gateway.client.transport import ApiRequest

Mode = Literal["live", "mock", "final"]


def turn(path: str, message: str | None, options: dict[str, Any]) -> ApiRequest:
    """Build the request of a turn; omitted options stay out of the body.

    Its idempotency key makes a repeated request the same turn.
    """
    body = {name: value for name, value in options.items() if value is not None}
    if message is not None:
        body["message"] = message
    headers = {"idempotency-key": uuid4().hex, "accept": _accept(path)}
    return ApiRequest("POST", path, body, headers, repeatable=True)


def _accept(path: str) -> str:
    streamed = path.endswith(("/stream", "/regenerate"))
    return "text/event-stream" if streamed else "application/json"


def resume(message_id: str, last_event_id: str | None) -> ApiRequest:
    """Build the request that resumes a stream after `last_event_id`."""
    headers = {"accept": "text/event-stream"}
    if last_event_id is not None:
        headers["last-event-id"] = last_event_id
    return ApiRequest("GET", f"/api/chat/stream/{message_id}", headers=headers, repeatable=True)


def generate(role: str, payload: dict[str, Any] | str, task: str | None, mode: Mode | None) -> ApiRequest:
    body = {"role": role, "task": task, "payload": payload, "mode": mode}
    return ApiRequest(
        "POST",
        "/api/v1/llm/generate",
        {name: value for name, value in body.items() if value is not None},
        {"idempotency-key": uuid4().hex},
        repeatable=True,
    )


def complete(messages: list[dict[str, Any]], model: str, options: dict[str, Any]) -> ApiRequest:
    return ApiRequest(
        "POST",
        "/v1/chat/completions",
        {"model": model, "messages": messages, **options},
        {"idempotency-key": uuid4().hex},
        repeatable=True,
    )


def embed(texts: str | list[str], model: str, dimensions: int | None) -> ApiRequest:
    body: dict[str, Any] = {"model": model, "input": texts}
    if dimensions is not None:
        body["dimensions"] = dimensions
    return ApiRequest("POST", "/v1/embeddings", body, repeatable=True)


def conversation(conversation_id: str) -> ApiRequest:
    return ApiRequest("GET", f"/api/conversations/{conversation_id}", repeatable=True)


def cancel(message_id: str) -> ApiRequest:
    return ApiRequest("POST", f"/api/chat/{message_id}/cancel", repeatable=True)


MODELS = ApiRequest("GET", "/v1/models", repeatable=True)


def read_turn(response: httpx.Response) -> TurnAnswer:
    return TurnAnswer.model_validate_json(response.content)


def read_generation(response: httpx.Response) -> Generation:
    return Generation.model_validate_json(response.content)


def read_completion(response: httpx.Response) -> Completion:
    return Completion.model_validate_json(response.content)


def read_embeddings(response: httpx.Response) -> Embeddings:
    return Embeddings.model_validate_json(response.content)


def read_conversation(response: httpx.Response) -> Conversation:
    return Conversation.model_validate_json(response.content)


def read_models(response: httpx.Response) -> list[Model]:
    return [Model.model_validate(item) for item in response.json()["data"]]
