"""Build model requests from a turn's state, and estimate their tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import orjson

from gateway.agent.state import AgentState
from gateway.agent.tool_use.limits import remaining_calls
from gateway.domain.config.models import ModelConfig
from gateway.domain.messages import Message, VendorData
from gateway.domain.money import estimate_tokens
from gateway.domain.requests import ChatRequest, ToolChoice, ToolSpec, Turn
from gateway.domain.token_estimates import max_tokens_by_bytes, tokens_to_reserve

# Approximate tokens that a provider's chat template adds to each message.
_TOKENS_PER_MESSAGE = 4
# Approximate tokens that a vendor adds to each tool definition, with its name.
_TOKENS_PER_TOOL = 20
_TOKENS_PER_IMAGE = 800
# Approximate for base64 files and audio; scanned pages take fewer.
_FILE_CHARACTERS_PER_TOKEN = 64
_MAX_TOKENS_PER_FILE = 50_000
# Reserve for an answer without `max_tokens`.
_DEFAULT_ANSWER_TOKENS = 256


def message_tokens(message: Message, measure: Callable[[str], int] = estimate_tokens) -> int:
    """Estimate the tokens of a message; `measure` estimates its texts."""
    tokens = _TOKENS_PER_MESSAGE + measure(message.text)
    for call in message.tool_calls:
        tokens += measure(call.name) + measure(call.arguments)
    if message.vendor is not None:
        tokens += vendor_tokens(message.vendor)
    if not isinstance(message.content, str):
        tokens += _TOKENS_PER_IMAGE * sum(1 for part in message.content if not hasattr(part, "text"))
        tokens += sum(
            min(part.size // _FILE_CHARACTERS_PER_TOKEN, _MAX_TOKENS_PER_FILE) for part in message.raw_parts
        )
    return tokens


def tool_definition_tokens(tool: ToolSpec) -> int:
    """Estimate the tokens of a tool definition."""
    return estimate_tokens(tool.description) + len(orjson.dumps(tool.parameters)) // 4


def prompt_tokens(messages: Iterable[Message], tools: Iterable[ToolSpec]) -> int:
    """Estimate the prompt tokens of messages and tools."""
    return sum(map(message_tokens, messages)) + sum(map(tool_definition_tokens, tools))


def prompt_tokens_to_reserve(messages: Iterable[Message], tools: Iterable[ToolSpec]) -> int:
    """Upper estimate of the prompt tokens, for reservations.

    Some vendors count two to four times `prompt_tokens` for digits, Korean and data. Reservations of many
    concurrent turns must not be lower than their usage.
    """
    return sum(message_tokens(message, tokens_to_reserve) for message in messages) + sum(
        _TOKENS_PER_TOOL + tool_definition_tokens(tool) for tool in tools
    )


def max_request_tokens(request: ChatRequest) -> int:
    """Upper bound of a request's text tokens (its bytes), without images."""
    total = 0
    for message in request.messages:
        total += _TOKENS_PER_MESSAGE + max_tokens_by_bytes(message.text)
        total += sum(max_tokens_by_bytes(call.name + call.arguments) for call in message.tool_calls)
        if message.vendor is not None:
            total += sum(max_tokens_by_bytes(text) for text in _vendor_texts(message.vendor))
    for tool in request.tools:
        total += max_tokens_by_bytes(tool.name + tool.description) + len(orjson.dumps(tool.parameters))
    return total


def vendor_tokens(vendor: VendorData) -> int:
    """Estimate the tokens of vendor fields."""
    return sum(map(estimate_tokens, _vendor_texts(vendor)))


def _vendor_texts(vendor: VendorData) -> list[str]:
    return [value if isinstance(value, str) else repr(value) for value in vendor.fields.values()]


def minimum_tokens(turn: Turn, messages: Sequence[Message]) -> int:
    """Tokens that cannot be dropped: system prompt and question, or the whole body.

    Messages of a stateless request are never dropped.
    """
    required = _system_and_last_question(messages) if turn.may_truncate else messages
    return sum(map(message_tokens, required)) + _answer_tokens(turn)


def _system_and_last_question(messages: Sequence[Message]) -> list[Message]:
    return [m for m in messages if m.role == "system"] + [m for m in messages if m.role == "user"][-1:]


def _answer_tokens(turn: Turn) -> int:
    return turn.sampling.max_tokens or _DEFAULT_ANSWER_TOKENS


def build_request(
    state: AgentState, model: ModelConfig, gateway_tools: Sequence[ToolSpec], *, max_rounds: int
) -> ChatRequest:
    """Build the request for `model` from the state.

    The gateway's tools are omitted if the model does not support tools, and once the turn's rounds or the
    caller's `max_tool_calls` are used up, so that the model has to answer.
    """
    turn = state["turn"]
    tools: tuple[ToolSpec, ...] = turn.client_tools
    tool_choice = turn.tool_choice
    may_call = state["tool_rounds"] < max_rounds and remaining_calls(state) != 0
    if not tools and may_call and "tools" in model.capabilities:
        tools = tuple(gateway_tools)
    if not tools:
        tool_choice = ToolChoice()
    return ChatRequest(
        model=model.model,
        messages=state["messages"],
        sampling=turn.sampling,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=turn.parallel_tool_calls if tools else None,
        response_format=turn.response_format if "json" in model.capabilities else None,
        logprobs=turn.logprobs,
        top_logprobs=turn.top_logprobs,
        extra=turn.extra,
        stream=turn.stream,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        thinking_budgets=model.thinking_budgets,
    )
