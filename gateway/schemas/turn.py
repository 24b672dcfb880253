"""Answers of turns, as the OpenAPI page shows them; the dialects write them without building these."""

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
    """One call of one model; `outcome` is `ok`, `cancelled` or the code of the error that ended it."""

    step: Literal["answer", "intent", "moderation", "summary", "title"] = Field(
        description="what it was made for"
    )
    model: str
    provider: str
    outcome: str
    ms: float
    usage: UsageOut
    cost_usd: str


class ReceiptView(View):
    """How the answer came about."""

    intent: str
    intent_score: float = Field(description="the label's probability, or how alike its exemplars are")
    intent_by: Literal["", "fast", "exemplars", "light", "unconfirmed"] = Field(
        description="who judged it; `unconfirmed`: the light model was asked and said nothing usable"
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
        description="by `provider/model`: those that were not closed of the upstreams in question"
    )
    cache: dict[str, Any] = Field(
        description="`result`; of an answer from a cache also `request_id` and `age_seconds` of its making"
    )


class AnswerView(View):
    """One turn."""

    conversation_id: UUID
    request_id: str
    cache: Literal["hit", "semantic", "miss", "bypass"]
    message: AnswerMessageView
    receipt: ReceiptView


class CancelView(View):
    """An answer whose turn was called off; `status` is what it was until then."""

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
