"""Parses a `/v1/responses` body; unsupported parameters are errors, never ignored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from gateway.core.exceptions import NotFound, UnsupportedParameter, ValidationFailed
from gateway.dialects.base import parse_body
from gateway.dialects.openai.client_tools import ClientTools, client_tools
from gateway.dialects.openai.responses.body import (
    InputItem,
    ResponsesBody,
    ResponseToolChoice,
    TextFormat,
)
from gateway.dialects.openai.responses.echoed_parameters import echoed_parameters
from gateway.dialects.openai.responses.input import input_messages, item_type
from gateway.domain.messages import Message
from gateway.domain.requests import ConversationTarget, ResponseFormat, Sampling, ToolChoice, ToolSpec, Turn

_ID = re.compile(r"resp_([0-9a-f]{32})")
_LOGPROBS = "message.output_text.logprobs"
_ENCRYPTED_REASONING = "reasoning.encrypted_content"
# All values that OpenAI knows. Each asks for something that an answer may or may not have.
_INCLUDABLE = frozenset(
    {
        _LOGPROBS,
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        _ENCRYPTED_REASONING,
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)
_SUMMARIES = (None, "auto", "concise", "detailed", "none")
# Parameters that chat completions know by the same name; no other unknown field is forwarded.
_FORWARDED = frozenset(
    {
        *("chat_template_kwargs", "logit_bias", "min_p", "prediction", "prompt_cache_key"),
        *("prompt_cache_retention", "reasoning_effort", "repetition_penalty", "safety_identifier"),
        *("service_tier", "top_k", "verbosity"),
    }
)
# Not supported; None and the listed values have no effect. The last group are chat completion parameters.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "background": (False,),
    "conversation": (),
    "prompt": (),
    "context_management": ([],),
    "moderation": (),
    **dict.fromkeys(
        (
            *("messages", "n", "functions", "function_call", "response_format", "max_tokens"),
            *("max_completion_tokens", "logprobs", "audio", "modalities", "web_search_options"),
        ),
        (),
    ),
}

# Chat completion parameters with another name here; errors name what the caller wrote.
OPENAI_PARAM_NAMES = {
    "message": "input",
    "messages": "input",
    "response_format": "text.format",
    "logprobs": "top_logprobs",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}


@dataclass(frozen=True, slots=True)
class ParsedResponseRequest:
    """A parsed request; its turn does not include the previous response yet.

    `parameters` are those that the response repeats. `items` is the input, whose references are still to be
    resolved (`references.resolve_references`). `include_encrypted`: reasoning is wanted in the form to send
    back.
    """

    turn: Turn
    previous_id: UUID | None
    store: bool
    parameters: dict[str, Any]
    items: tuple[InputItem, ...]
    tools: ClientTools
    include_encrypted: bool = False

    @property
    def use_gateway_search(self) -> bool:
        """Return whether the gateway's search can replace OpenAI's (no other tools)."""
        return self.tools.web_search and not self.turn.client_tools and not self.turn.gateway_tools

    @property
    def has_references(self) -> bool:
        """Return whether the input refers to stored items by id."""
        return any(item_type(item) == "item_reference" for item in self.items)

    def with_items(self, items: Sequence[InputItem]) -> ParsedResponseRequest:
        """Return the request with other input items."""
        return replace(self, turn=replace(self.turn, messages=_messages(items, self.tools)))


def response_id(message_id: UUID) -> str:
    """Return OpenAI's form of the id of a stored answer."""
    return f"resp_{message_id.hex}"


def parse_response_id(text: str, param: str | None = None) -> UUID:
    """Parse a response id. Raises NotFound if it is malformed."""
    match = _ID.fullmatch(text)
    if match is None:
        raise NotFound(param=param)
    return UUID(match[1])


def parse_response(body: bytes, request_id: str) -> ParsedResponseRequest:
    """Parse the body of a response.

    Raises:
        ValidationFailed, UnsupportedParameter: each names the `param`.
        NotFound: `previous_response_id` is malformed.
    """
    parsed = parse_body(ResponsesBody, body)
    _reject_unsupported(parsed, parsed.model_extra or {})
    store = parsed.store is not False
    tools = client_tools([tool.model_dump() for tool in parsed.tools or ()])
    target = ConversationTarget(
        system=_instructions(parsed.instructions), metadata=dict(parsed.metadata or {})
    )
    previous_id = None
    turn = _parse_turn(parsed, request_id, target, tools)
    if parsed.previous_response_id is not None:
        previous_id = parse_response_id(parsed.previous_response_id, "previous_response_id")
    return ParsedResponseRequest(
        turn,
        previous_id,
        store,
        echoed_parameters(parsed, target, store),
        tuple(parsed.input),
        tools,
        _ENCRYPTED_REASONING in (parsed.include or ()),
    )


def _parse_turn(
    parsed: ResponsesBody, request_id: str, target: ConversationTarget, tools: ClientTools
) -> Turn:
    gateway_fields = parsed.gateway
    choice, offered = _tool_choice(parsed, tools)
    has_references = any(item_type(item) == "item_reference" for item in parsed.input)
    return Turn(
        request_id=request_id,
        messages=input_messages(parsed.input, tools) if has_references else _messages(parsed.input, tools),
        model=parsed.model,
        sampling=_sampling(parsed),
        conversation=target,
        client_tools=offered,
        tool_choice=choice,
        parallel_tool_calls=parsed.parallel_tool_calls,
        gateway_tools=tuple(gateway_fields.tools or ()),
        max_tool_calls=parsed.max_tool_calls,
        response_format=_response_format(parsed.text.format if parsed.text is not None else None),
        logprobs=_LOGPROBS in (parsed.include or ()) or bool(parsed.top_logprobs),
        top_logprobs=parsed.top_logprobs,
        role=gateway_fields.role,
        task=gateway_fields.task,
        fallbacks=tuple(gateway_fields.fallbacks) if gateway_fields.fallbacks is not None else None,
        use_cache=gateway_fields.cache,
        guard_overrides=gateway_fields.guardrails.overrides(),
        can_retract=not parsed.stream,
        truncation=parsed.truncation,
        extra=_forwarded_fields(parsed),
        stream=bool(parsed.stream),
    )


def _forwarded_fields(parsed: ResponsesBody) -> dict[str, Any]:
    """Return the fields for OpenAI-compatible upstreams, under their names in chat completions."""
    extra = parsed.model_extra or {}
    fields = {name: value for name, value in extra.items() if name in _FORWARDED and value is not None}
    if parsed.reasoning is not None and parsed.reasoning.effort is not None:
        fields["reasoning_effort"] = parsed.reasoning.effort
    if parsed.text is not None and parsed.text.verbosity is not None:
        fields["verbosity"] = parsed.text.verbosity
    return fields


def _messages(items: Sequence[InputItem], tools: ClientTools) -> tuple[Message, ...]:
    messages = input_messages(items, tools)
    if not messages:
        raise ValidationFailed("The input contains no message to answer.", param="input")
    return messages


def _instructions(instructions: str | list[InputItem] | None) -> str:
    """Return the instructions as one text.

    Raises:
        UnsupportedParameter: an item is not a system or developer message.
    """
    if instructions is None or isinstance(instructions, str):
        return instructions or ""
    for index, item in enumerate(instructions):
        if item_type(item) != "message" or item.role not in ("system", "developer"):
            raise UnsupportedParameter(
                "Instructions must be text, or messages with the role system or developer.",
                param=f"instructions.{index}.role",
            )
    return "\n\n".join(
        filter(None, (message.text for message in input_messages(instructions, ClientTools())))
    )


def _reject_unsupported(body: ResponsesBody, extra: dict[str, Any]) -> None:
    for name, ignored_values in _UNSUPPORTED.items():
        if extra.get(name) is not None and extra[name] not in ignored_values:
            raise UnsupportedParameter(f"{name} is not supported.", param=name)
    if set(body.include or ()) - _INCLUDABLE:
        raise UnsupportedParameter(
            "include contains an unknown value. Use: " + ", ".join(sorted(_INCLUDABLE)) + ".", param="include"
        )
    if body.reasoning is not None and body.reasoning.summary not in _SUMMARIES:
        raise UnsupportedParameter(
            "A summary must be auto, concise or detailed; reasoning is returned unchanged.",
            param="reasoning.summary",
        )
    if body.tools and body.gateway.tools:
        raise UnsupportedParameter(
            "A request can use its own tools or the gateway's, not both.", param="gateway.tools"
        )


def _sampling(body: ResponsesBody) -> Sampling:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_output_tokens,
        stop=stop,
        seed=body.seed,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
    )


def _tool_choice(body: ResponsesBody, tools: ClientTools) -> tuple[ToolChoice, tuple[ToolSpec, ...]]:
    """Parse the tool choice; return it with the tools offered to the model."""
    choice = body.tool_choice
    if choice is None or choice in ("none", "auto"):
        return ToolChoice() if choice != "none" else ToolChoice("none"), tools.specs
    if not body.tools and not body.gateway.tools:
        raise ValidationFailed("tool_choice requires tools.", param="tool_choice")
    if isinstance(choice, ResponseToolChoice) and choice.type == "allowed_tools":
        return _allowed_tools(choice, tools)
    if not tools.tools and not body.gateway.tools:
        raise UnsupportedParameter(
            "OpenAI's hosted tools are not available here, and there is no other tool to choose.",
            param="tool_choice",
        )
    if not isinstance(choice, ResponseToolChoice):
        return ToolChoice("required"), tools.specs
    if choice.type not in ("function", "custom"):
        raise UnsupportedParameter("Only function and custom tools can be chosen.", param="tool_choice.type")
    name = choice.name
    if name is not None and body.tools:
        tool = tools.find(name, choice.type, choice.namespace) or tools.find_unique(name, choice.type)
        name = tool.spec.name if tool is not None else None
    if name is None:
        raise ValidationFailed("tool_choice names an unknown tool.", param="tool_choice")
    return ToolChoice("function", name), tools.specs


def _allowed_tools(choice: ResponseToolChoice, tools: ClientTools) -> tuple[ToolChoice, tuple[ToolSpec, ...]]:
    """Restrict the choice to the named tools."""
    return tools.allowed([(tool.type, tool.name, tool.namespace) for tool in choice.tools or ()], choice.mode)


def _response_format(text_format: TextFormat | None) -> ResponseFormat | None:
    if text_format is None or text_format.type == "text":
        return None
    if text_format.type == "json_object":
        return ResponseFormat("json_object")
    if not text_format.name or text_format.schema_ is None:
        raise ValidationFailed("json_schema needs name and schema.", param="text.format")
    return ResponseFormat(
        "json_schema",
        text_format.name,
        text_format.schema_,
        text_format.strict,
        description=text_format.description,
    )
