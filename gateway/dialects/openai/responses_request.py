"""From a `/v1/responses` body to a `Turn`; what cannot be honoured is named, never dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from gateway.core.exceptions import NotFound, UnsupportedParameter, ValidationFailed
from gateway.dialects.base import parse_body
from gateway.dialects.openai.client_tools import ClientTools, client_tools
from gateway.dialects.openai.responses_body import (
    InputItem,
    NamedChoice,
    ResponsesBody,
    TextFormat,
)
from gateway.dialects.openai.responses_echo import echo
from gateway.dialects.openai.responses_input import input_messages, kind_of
from gateway.domain.chat import ResponseFormat, Sampling, ToolChoice, ToolSpec, Turn
from gateway.domain.messages import Message

_ID = re.compile(r"resp_([0-9a-f]{32})")
_LOGPROBS = "message.output_text.logprobs"
_SEALED = "reasoning.encrypted_content"
# All that OpenAI knows. Each asks for what may be there: an answer has it or does not.
_INCLUDABLE = frozenset(
    {
        _LOGPROBS,
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        _SEALED,
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)
_SUMMARIES = (None, "auto", "concise", "detailed", "none")
# Parameters that chat completions know by the same name; no other unknown field goes upstream.
_PASSED_ON = frozenset(
    {
        *("chat_template_kwargs", "logit_bias", "min_p", "prediction", "prompt_cache_key"),
        *("prompt_cache_retention", "reasoning_effort", "repetition_penalty", "safety_identifier"),
        *("service_tier", "top_k", "verbosity"),
    }
)
# What the gateway does not do; None and the given values ask for nothing. The last are of chat completions.
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

# What chat completions call by another name; a refusal names what the caller wrote.
PARAMS = {
    "message": "input",
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

    `parameters` are those of the body that an answer tells again. `given` are the items of the input, whose
    references are to stored items (`references.resolved`). `web_search`: OpenAI's own was among the tools.
    `sealed`: thoughts are wanted in the form to send back.
    """

    turn: Turn
    previous: UUID | None
    store: bool
    parameters: dict[str, Any]
    given: tuple[InputItem, ...]
    tools: ClientTools
    sealed: bool = False

    @property
    def web_search(self) -> bool:
        """Whether the gateway's own search may stand for OpenAI's: there are no other tools beside it."""
        return self.tools.web_search and not self.turn.client_tools and not self.turn.gateway_tools

    @property
    def refers(self) -> bool:
        """Whether the input names stored items by their ids."""
        return any(kind_of(item) == "item_reference" for item in self.given)

    def with_items(self, given: Sequence[InputItem]) -> ResponseOrder:
        """The order with other items as its input."""
        return replace(self, turn=replace(self.turn, messages=_messages(given, self.tools)))


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
    tools = client_tools([tool.model_dump() for tool in parsed.tools or ()])
    choice, offered = _tool_choice(parsed, tools)
    passed_on = {name: value for name, value in extra.items() if name in _PASSED_ON and value is not None}
    if parsed.reasoning is not None and parsed.reasoning.effort is not None:
        passed_on["reasoning_effort"] = parsed.reasoning.effort
    if parsed.text is not None and parsed.text.verbosity is not None:
        passed_on["verbosity"] = parsed.text.verbosity
    system = _instructions(parsed.instructions)
    given = tuple(parsed.input)
    references = any(kind_of(item) == "item_reference" for item in given)
    turn = Turn(
        request_id=request_id,
        messages=input_messages(given, tools) if references else _messages(given, tools),
        model=parsed.model,
        sampling=_sampling(parsed),
        system=system,
        client_tools=offered,
        tool_choice=choice,
        parallel_tool_calls=parsed.parallel_tool_calls,
        gateway_tools=tuple(own.tools or ()),
        max_tool_calls=parsed.max_tool_calls,
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
        truncation=parsed.truncation,
        extra=passed_on,
        incremental=bool(parsed.stream),
    )
    previous = None
    if parsed.previous_response_id is not None:
        previous = parse_response_id(parsed.previous_response_id, "previous_response_id")
    return ResponseOrder(
        turn, previous, store, echo(parsed, turn, store), given, tools, _SEALED in (parsed.include or ())
    )


def _messages(given: Sequence[InputItem], tools: ClientTools) -> tuple[Message, ...]:
    messages = input_messages(given, tools)
    if not messages:
        raise ValidationFailed("The input has nothing to answer.", param="input")
    return messages


def _instructions(given: str | list[InputItem] | None) -> str:
    """The instructions as one text.

    Raises:
        UnsupportedParameter: an item that is no system or developer message.
    """
    if given is None or isinstance(given, str):
        return given or ""
    for at, item in enumerate(given):
        if kind_of(item) != "message" or item.role not in ("system", "developer"):
            raise UnsupportedParameter(
                "Instructions are text, or messages of the roles system and developer.",
                param=f"instructions.{at}.role",
            )
    return "\n\n".join(filter(None, (message.text for message in input_messages(given, ClientTools()))))


def _refuse(body: ResponsesBody, extra: dict[str, Any]) -> None:
    for name, harmless in _UNSUPPORTED.items():
        if extra.get(name) is not None and extra[name] not in harmless:
            raise UnsupportedParameter(f"{name} is not supported here.", param=name)
    if set(body.include or ()) - _INCLUDABLE:
        raise UnsupportedParameter(
            "One of these cannot be included. Use: " + ", ".join(sorted(_INCLUDABLE)) + ".", param="include"
        )
    if body.reasoning is not None and body.reasoning.summary not in _SUMMARIES:
        raise UnsupportedParameter(
            "A summary is auto, concise or detailed; thoughts are returned as they are.",
            param="reasoning.summary",
        )
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


def _tool_choice(body: ResponsesBody, tools: ClientTools) -> tuple[ToolChoice, tuple[ToolSpec, ...]]:
    """What the model may or has to call, and the tools that it is offered."""
    choice = body.tool_choice
    if choice is None or choice in ("none", "auto"):
        return ToolChoice() if choice != "none" else ToolChoice("none"), tools.specs
    if not body.tools and not body.gateway.tools:
        raise ValidationFailed("tool_choice needs tools.", param="tool_choice")
    if isinstance(choice, NamedChoice) and choice.type == "allowed_tools":
        return _allowed(choice, tools)
    if not tools.tools and not body.gateway.tools:
        raise UnsupportedParameter(
            "OpenAI's hosted tools are not offered here, and no other tool is left to choose.",
            param="tool_choice",
        )
    if not isinstance(choice, NamedChoice):
        return ToolChoice("required"), tools.specs
    if choice.type not in ("function", "custom"):
        raise UnsupportedParameter("Only functions and custom tools can be chosen.", param="tool_choice.type")
    name = choice.name
    if name is not None and body.tools:
        found = tools.find(name, choice.type, choice.namespace) or tools.only(name, choice.type)
        name = found.spec.name if found is not None else None
    if name is None:
        raise ValidationFailed("tool_choice names none of the tools.", param="tool_choice")
    return ToolChoice("function", name), tools.specs


def _allowed(choice: NamedChoice, tools: ClientTools) -> tuple[ToolChoice, tuple[ToolSpec, ...]]:
    """The tools that the model may choose from; the others are not offered."""
    return tools.allowed([(one.type, one.name, one.namespace) for one in choice.tools or ()], choice.mode)


def _format(wanted: TextFormat | None) -> ResponseFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return ResponseFormat("json_object")
    if not wanted.name or wanted.schema_ is None:
        raise ValidationFailed("json_schema needs its name and schema.", param="text.format")
    return ResponseFormat(
        "json_schema", wanted.name, wanted.schema_, wanted.strict, description=wanted.description
    )
