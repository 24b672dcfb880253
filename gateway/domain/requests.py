"""What is asked: of a provider (`ChatRequest`) and of the gateway (`Turn`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from gateway.domain.config.guardrails import GuardMode
from gateway.domain.messages import Message


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
    """A tool a model may call; `parameters` is a JSON Schema object, `extra` more fields of OpenAI's tool."""

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

    Not `required`: a model without the capability is asked all the same, by the prompt alone.
    """

    type: Literal["json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    required: bool = True
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call of one model, as a provider gets it.

    `model` is the provider's own name of it. `incremental` is False where nobody reads increments: the
    provider then asks its vendor for the whole answer and yields it as one delta. `assembled`: the answer is
    streamed only to see that the upstream works; its caller wants it whole. `extra` holds further fields of
    OpenAI's body, for providers that speak it. `context_window`, `max_output_tokens` and
    `thinking_budgets` are the model's, by the configuration, for vendors that have to be given them.
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
class Turn:
    """One request for an answer, as a dialect parsed it; `messages` holds what the body carried.

    For a persisted turn (`persist`) `messages` is the new question alone (results of calls are part of one),
    and the history comes from the conversation: what `parent_id` ends (None: its head; nothing at all where
    the turn is `rooted`). `again` is a question of it, or an answer to one, that is to be answered once more.
    `client_tools` are answered with tool calls for the caller to run; `gateway_tools` names the gateway's own
    (None: all that are enabled). `use_cache` is None where the caller said nothing of caches. `guards` are
    what the caller wishes beyond what is set; `retractable` is False where text that was shown cannot be
    taken back. `on_busy` says whether to wait for a conversation that is being answered. `request` is what is
    kept with a program's question: `messages`, where a text is not all of it, and `parameters`.
    `max_tool_calls` limits the calls of the gateway's tools. `truncation` says whether older messages may be
    left out where all do not fit; None: those of a conversation that is kept.
    """

    request_id: str
    messages: tuple[Message, ...]
    model: str | None = None
    sampling: Sampling = Sampling()
    persist: bool = False
    conversation_id: UUID | None = None
    parent_id: UUID | None = None
    as_root: bool = False
    regenerate_of: UUID | None = None
    system: str | None = None
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
    metadata: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    stream: bool = True
    guard_overrides: dict[str, GuardMode] = field(default_factory=dict)
    can_retract: bool = True
    on_busy: Literal["refuse", "queue"] = "refuse"
    truncation: Literal["auto", "disabled"] | None = None

    @property
    def may_truncate(self) -> bool:
        """Whether older messages may be left out where all do not fit the model's window."""
        return self.persist if self.truncation is None else self.truncation == "auto"
