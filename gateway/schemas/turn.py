"""Answers in the OpenAPI document.

The dialects encode them without these classes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from gateway.schemas.base import View
from gateway.schemas.conversation import UsageOut


class AnswerMessageView(View):
    id: UUID
    role: Literal["assistant"]
    content: str
    status: Literal["complete", "failed", "cancelled", "interrupted"]
    model: str = Field(description="the gateway's name of the model that answered")
    provider: str
    finish_reason: str | None
    created_at: datetime
    usage: UsageOut
    cost_usd: str


class ModelCallView(View):
    """One model call; `outcome` is `ok`, `cancelled` or the error code."""

    step: Literal["answer", "intent", "moderation", "summary", "title"] = Field(
        description="the purpose of the call"
    )
    model: str
    provider: str
    outcome: str
    ms: float
    usage: UsageOut
    cost_usd: str


class ReceiptView(View):
    """How the answer was created."""

    intent: str
    intent_score: float = Field(description="the label's probability, or the similarity to its examples")
    intent_by: Literal["", "fast", "exemplars", "light", "unconfirmed"] = Field(
        description="the classifier; `unconfirmed`: the light model's reply was not usable"
    )
    complexity: float
    alias: str
    model: str
    reason: str
    attempts: list[ModelCallView]
    tools: list[dict[str, Any]]
    guardrails: list[dict[str, Any]]
    nodes_ms: dict[str, float]
    overhead_ms: float
    breakers: dict[str, Literal["closed", "open", "half_open"]] = Field(
        description="by `provider/model`: the circuit breakers in question that were not closed"
    )
    cache: dict[str, Any] = Field(
        description="`result`; for cache hits also `request_id` and `age_seconds` of the original"
    )


class AnswerView(View):
    """One turn."""

    conversation_id: UUID
    request_id: str
    cache: Literal["hit", "semantic", "miss", "bypass"]
    message: AnswerMessageView
    receipt: ReceiptView


class CancelView(View):
    """A cancelled answer; `status` is its previous status."""

    message_id: UUID
    status: Literal["pending", "streaming", "complete", "failed", "cancelled", "interrupted"]


class CompletionChoice(View):
    index: int
    message: dict[str, Any]
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"]


class PromptTokensDetails(View):
    cached_tokens: int
    cache_write_tokens: int


class CompletionTokensDetails(View):
    reasoning_tokens: int


class CompletionUsage(View):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class CompletionView(View):
    """OpenAI's `chat.completion`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage
