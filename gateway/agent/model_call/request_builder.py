"""From a turn's state to one call of one model: what it is shown, offered and asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import orjson

from gateway.agent.state import AgentState
from gateway.agent.tool_use.limits import remaining_calls
from gateway.domain.config.catalog import ModelConfig
from gateway.domain.messages import Message, VendorData
from gateway.domain.money import estimate_tokens
from gateway.domain.requests import ChatRequest, ToolChoice, ToolSpec, Turn
from gateway.domain.token_estimates import max_tokens_by_bytes, tokens_to_reserve

# What a provider's chat template adds to each message, roughly.
_TOKENS_PER_MESSAGE = 4
# What a vendor puts around the definition of each tool, its name included.
_TOKENS_PER_TOOL = 20
_TOKENS_PER_IMAGE = 800
# Of a file or a sound in base64, roughly; pages that are mostly pictures take fewer.
_FILE_CHARACTERS_PER_TOKEN = 64
_MAX_TOKENS_PER_FILE = 50_000
# Room for an answer where the caller set no limit.
_DEFAULT_ANSWER_TOKENS = 256


def message_tokens(message: Message, measure: Callable[[str], int] = estimate_tokens) -> int:
    """Estimate of what a message takes of a context window; `measure` estimates its texts."""
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
    """Estimate of what the definition of a tool takes of a context window."""
    return estimate_tokens(tool.description) + len(orjson.dumps(tool.parameters)) // 4


def prompt_tokens(messages: Iterable[Message], tools: Iterable[ToolSpec]) -> int:
    """Estimate of a prompt of these messages and tools."""
    return sum(map(message_tokens, messages)) + sum(map(tool_definition_tokens, tools))


def prompt_tokens_to_reserve(messages: Iterable[Message], tools: Iterable[ToolSpec]) -> int:
    """What to reserve for a prompt of these messages and tools: what the dearest tokenizers need for it.

    Vendors count digits, Korean and data without words at two to four times `prompt_tokens`. What is reserved
    for many turns at once must not be less than what they take.
    """
    return sum(message_tokens(message, tokens_to_reserve) for message in messages) + sum(
        _TOKENS_PER_TOOL + tool_definition_tokens(tool) for tool in tools
    )


def max_request_tokens(request: ChatRequest) -> int:
    """The most tokens that the text of a request can be, images left out."""
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
    """Estimate of what a vendor's own fields of a message take; its own form of the message says the same."""
    return sum(map(estimate_tokens, _vendor_texts(vendor)))


def _vendor_texts(vendor: VendorData) -> list[str]:
    return [value if isinstance(value, str) else repr(value) for value in vendor.fields.values()]


def minimum_tokens(turn: Turn, messages: Sequence[Message]) -> int:
    """What cannot be left out: all that the caller sent; of our own conversations, system and question."""
    required = _system_and_last_question(messages) if turn.may_truncate else messages
    return sum(map(message_tokens, required)) + _answer_tokens(turn)


def _system_and_last_question(messages: Sequence[Message]) -> list[Message]:
    return [m for m in messages if m.role == "system"] + [m for m in messages if m.role == "user"][-1:]


def _answer_tokens(turn: Turn) -> int:
    return turn.sampling.max_tokens or _DEFAULT_ANSWER_TOKENS


def build_request(
    state: AgentState, model: ModelConfig, gateway_tools: Sequence[ToolSpec], *, max_rounds: int
) -> ChatRequest:
    """The call of `model` for this state.

    The gateway's tools (`offered`) are left out where the model cannot use tools, and once the turn's
    rounds or the caller's limit of calls are used up, so that it has to answer.
    """
    turn = state["turn"]
    tools: tuple[ToolSpec, ...] = turn.client_tools
    tool_choice = turn.tool_choice
    may_call = state["rounds"] < max_rounds and remaining_calls(state) != 0
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
