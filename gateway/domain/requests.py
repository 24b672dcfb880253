"""Requests to providers and to the gateway, and who makes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from gateway.domain.accounts.principal import Principal
from gateway.domain.config.guardrails import GuardMode
from gateway.domain.messages import Message


@dataclass(frozen=True, slots=True)
class RequestScope:
    """Who makes a request, its id, and how to learn that its client has disconnected.

    `disconnected` returns once the client has gone; None where nothing can tell.
    """

    principal: Principal
    request_id: str
    disconnected: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Generation parameters; None leaves the provider's default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool a model may call.

    `parameters` is a JSON Schema object, `extra` more fields of OpenAI's tool.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`name` only with mode `function`."""

    mode: Literal["auto", "none", "required", "function"] = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """`json_schema` carries `name` and `schema`; `json_object` neither.

    `required` is False if a model without the capability may answer as well, instructed by the prompt alone.
    """

    type: Literal["json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    required: bool = True
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One model call, as it is passed to a provider.

    `model` is the provider's own name of the model. `stream` is False if increments are not needed: the
    provider then requests the complete answer and yields it as one delta. `assembled`: the answer is streamed
    only to detect a dead upstream; its caller wants it complete. `extra` holds further fields of OpenAI's
    body, for providers that accept them. `context_window`, `max_output_tokens` and `thinking_budgets` are the
    model's from the configuration, for providers that require them.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    stream: bool = True
    assembled: bool = False
    context_window: int | None = None
    max_output_tokens: int | None = None
    thinking_budgets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConversationTarget:
    """Where a persisted turn belongs.

    Without `id` the turn starts a conversation. The question follows the message `parent_id` (None: the
    conversation's head), or nothing if `as_root`. `regenerate_of` is a question, or an answer to one, that is
    answered again. `system` replaces the conversation's system prompt for this turn. `request` is stored with
    a program's question: `messages`, if its text is not all of it, and `parameters`. `on_busy` says what to
    do if the conversation is being answered.
    """

    id: UUID | None = None
    parent_id: UUID | None = None
    as_root: bool = False
    regenerate_of: UUID | None = None
    system: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] | None = None
    on_busy: Literal["refuse", "queue"] = "refuse"


@dataclass(frozen=True, slots=True)
class Turn:
    """One request for an answer, as a dialect parsed it.

    `messages` is the request's whole context. If the turn is persisted (`conversation` is set), it is only
    the new question, tool results included, and the history comes from the conversation.

    `client_tools` are answered with tool calls for the client to run. `gateway_tools` names the gateway's own
    (None: all enabled ones), and `max_tool_calls` limits their calls. `use_cache` is None if the client did
    not say. `guard_overrides` are guardrails the client wants beyond the configured ones. `can_retract` is
    False if text that was sent cannot be replaced. `truncation` says whether older messages may be left out
    if they do not fit; None: only those of a conversation.
    """

    request_id: str
    messages: tuple[Message, ...]
    model: str | None = None
    sampling: Sampling = Sampling()
    conversation: ConversationTarget | None = None
    client_tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool | None = None
    gateway_tools: tuple[str, ...] | None = ()
    max_tool_calls: int | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    role: str | None = None
    task: str | None = None
    fallbacks: tuple[str, ...] | None = None
    use_cache: bool | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    stream: bool = True
    guard_overrides: dict[str, GuardMode] = field(default_factory=dict)
    can_retract: bool = True
    truncation: Literal["auto", "disabled"] | None = None

    @property
    def persisted(self) -> bool:
        """Whether the turn is stored in a conversation."""
        return self.conversation is not None

    @property
    def may_truncate(self) -> bool:
        """Whether older messages may be left out if they do not fit the model's context window."""
        return self.persisted if self.truncation is None else self.truncation == "auto"
