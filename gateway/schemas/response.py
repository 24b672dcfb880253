"""OpenAI's `response` objects in the OpenAPI document.

The dialect encodes them without these classes.
"""

from __future__ import annotations

from typing import Any, Literal

from gateway.schemas.base import View


class ResponseUsage(View):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseView(View):
    """A response with the parameters of its request."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    model: str
    output: list[dict[str, Any]]
    previous_response_id: str | None
    store: bool
    usage: ResponseUsage | None = None


class DeletedResponse(View):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class InputItems(View):
    """The input items of a response, all on one page."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: Literal[False]
