"""From a `/v1/responses` body to a `Turn`; what cannot be honoured is named, never dropped in silence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.core.exceptions import NotFound, UnsupportedParameter, ValidationFailed
from gateway.dialects.base import parse_body
from gateway.dialects.openai.responses_body import FunctionTool, NamedChoice, ResponsesBody, TextFormat
from gateway.dialects.openai.responses_input import input_messages
from gateway.domain.chat import ResponseFormat, Sampling, ToolChoice, ToolSpec, Turn

_ID = re.compile(r"resp_([0-9a-f]{32})")
_LOGPROBS = "message.output_text.logprobs"
# Accepted and meant for OpenAI's own bookkeeping; an upstream has no use for them.
_NOT_PASSED_ON = frozenset(
    {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "stream_options"}
)
# What the gateway does not do; None and the given values ask for nothing. The last are of chat completions.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "background": (False,),
    "conversation": (),
    "prompt": (),
    "max_tool_calls": (),
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

# What chat completions call by another name; a refusal names what the caller wrote.
PARAMS = {
    "messages": "input",
    "response_format": "text.format",
    "logprobs": "top_logprobs",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}


@dataclass(frozen=True, slots=True)
class ResponseOrder:
    """A response that is asked for: its turn as yet without what it follows.

    `parameters` are those of the body that an answer tells again.
    """

    turn: Turn
    previous: UUID | None
    store: bool
    parameters: dict[str, Any]


def response_id(message_id: UUID) -> str:
    """OpenAI's kind of id for the answer that is kept under this one."""
    return f"resp_{message_id.hex}"


def parse_response_id(text: str, param: str | None = None) -> UUID:
    """Raises NotFound for what is no such id."""
    found = _ID.fullmatch(text)
    if found is None:
        raise NotFound(param=param)
    return UUID(found[1])


def parse_response(body: bytes, request_id: str) -> ResponseOrder:
    """The response that the body asks for.

    Raises:
        ValidationFailed, UnsupportedParameter (each names the `param`), NotFound (`previous_response_id`).
    """
    parsed = parse_body(ResponsesBody, body)
    extra = parsed.model_extra or {}
    _refuse(parsed, extra)
    store = parsed.store is not False
    own = parsed.gateway
    choice = _tool_choice(parsed)
    passed_on = {name: value for name, value in extra.items() if name not in {*_NOT_PASSED_ON, *_UNSUPPORTED}}
    if parsed.reasoning is not None and parsed.reasoning.effort is not None:
        passed_on["reasoning_effort"] = parsed.reasoning.effort
    if parsed.text is not None and parsed.text.verbosity is not None:
        passed_on["verbosity"] = parsed.text.verbosity
    turn = Turn(
        request_id=request_id,
        messages=input_messages(parsed.input),
        model=parsed.model,
        sampling=_sampling(parsed),
        system=parsed.instructions or "",
        client_tools=tuple(_tool(tool, at) for at, tool in enumerate(parsed.tools or ())),
        tool_choice=choice,
        parallel_tool_calls=parsed.parallel_tool_calls,
        gateway_tools=tuple(own.tools or ()),
        response_format=_format(parsed.text.format if parsed.text is not None else None),
        logprobs=_LOGPROBS in (parsed.include or ()) or bool(parsed.top_logprobs),
        top_logprobs=parsed.top_logprobs,
        role=own.role,
        task=own.task,
        fallbacks=tuple(own.fallbacks) if own.fallbacks is not None else None,
        use_cache=own.cache,
        metadata=dict(parsed.metadata or {}),
        guards=own.guardrails.wishes(),
        retractable=not parsed.stream,
        extra=passed_on,
        incremental=bool(parsed.stream),
    )
    previous = None
    if parsed.previous_response_id is not None:
        previous = parse_response_id(parsed.previous_response_id, "previous_response_id")
    return ResponseOrder(turn, previous, store, _told_again(parsed, turn, store))


def _refuse(body: ResponsesBody, extra: dict[str, Any]) -> None:
    for name, harmless in _UNSUPPORTED.items():
        if extra.get(name) is not None and extra[name] not in harmless:
            raise UnsupportedParameter(f"{name} is not supported here.", param=name)
    if set(body.include or ()) - {_LOGPROBS}:
        raise UnsupportedParameter(f"Only {_LOGPROBS} can be included.", param="include")
    if body.reasoning is not None and body.reasoning.summary is not None:
        raise UnsupportedParameter("Thoughts are told as they are, not summed up.", param="reasoning.summary")
    if body.truncation == "disabled" and body.store is not False:
        raise UnsupportedParameter(
            "A stored conversation is fitted to its model's window; with store: false nothing is left out.",
            param="truncation",
        )
    if body.truncation == "auto" and body.store is False:
        raise UnsupportedParameter("Nothing is left out of what is not stored.", param="truncation")
    if body.tools and body.gateway.tools:
        raise UnsupportedParameter(
            "A request has either tools of its own or the gateway's.", param="gateway.tools"
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


def _tool(tool: FunctionTool, at: int) -> ToolSpec:
    if tool.type != "function":
        raise UnsupportedParameter(
            "Only function tools are supported; the gateway's own are named in gateway.tools.",
            param=f"tools.{at}.type",
        )
    if tool.name is None:
        raise ValidationFailed("A function tool needs its name.", param=f"tools.{at}.name")
    return ToolSpec(
        tool.name,
        tool.description or "",
        tool.parameters or {"type": "object", "properties": {}},
        tool.strict,
    )


def _tool_choice(body: ResponsesBody) -> ToolChoice:
    choice = body.tool_choice
    if choice is None or choice in ("none", "auto"):
        return ToolChoice() if choice != "none" else ToolChoice("none")
    if not body.tools and not body.gateway.tools:
        raise ValidationFailed("tool_choice needs tools.", param="tool_choice")
    if not isinstance(choice, NamedChoice):
        return ToolChoice("required")
    if choice.type != "function":
        raise UnsupportedParameter("Only functions can be chosen.", param="tool_choice.type")
    if choice.name is None or (body.tools and all(tool.name != choice.name for tool in body.tools)):
        raise ValidationFailed("tool_choice names none of the tools.", param="tool_choice")
    return ToolChoice("function", choice.name)


def _format(wanted: TextFormat | None) -> ResponseFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return ResponseFormat("json_object")
    if not wanted.name or wanted.schema_ is None:
        raise ValidationFailed("json_schema needs its name and schema.", param="text.format")
    return ResponseFormat("json_schema", wanted.name, wanted.schema_, wanted.strict)


def _told_again(body: ResponsesBody, turn: Turn, store: bool) -> dict[str, Any]:
    text = body.text.model_dump(by_alias=True, exclude_none=True) if body.text is not None else {}
    choice = body.tool_choice
    return {
        "background": False,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": turn.metadata,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "reasoning": {
            "effort": body.reasoning.effort if body.reasoning is not None else None,
            "summary": None,
        },
        "store": store,
        "temperature": body.temperature,
        "text": {"format": {"type": "text"}, **text},
        "tool_choice": choice.model_dump(exclude_none=True)
        if isinstance(choice, NamedChoice)
        else choice or "auto",
        "tools": [tool.model_dump() for tool in body.tools or ()],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": body.top_p,
        "truncation": "auto" if store else "disabled",
    }
