"""From OpenAI's body to a `Turn`; what cannot be honoured is named, never dropped in silence."""

from __future__ import annotations

from typing import Any

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.dialects.base import parse_body
from gateway.dialects.openai.body import (
    ChatCompletionBody,
    ContentPart,
    MessageBody,
    NamedToolChoice,
    ResponseFormatBody,
    ToolBody,
)
from gateway.domain.chat import ResponseFormat, Sampling, ToolChoice, ToolSpec, Turn
from gateway.domain.messages import CLIENT_FIELDS, Content, ImagePart, Message, TextPart, ToolCall, VendorData

# Accepted and meant for OpenAI's own bookkeeping; an upstream has no use for them.
_NOT_PASSED_ON = frozenset({"user", "metadata", "store"})
# What no provider here can do for the time being; None and the given values ask for nothing.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "functions": (),
    "function_call": (),
    "audio": (),
    "modalities": (["text"],),
    "web_search_options": (),
}
# Fields of the gateway's own answers that clients send back and no upstream takes.
_ANSWERS_ONLY = frozenset({*CLIENT_FIELDS, "refusal"})
_UNSUPPORTED_OF_MESSAGES = ("function_call", "audio")


def parse_completion(body: bytes, request_id: str) -> tuple[Turn, ChatCompletionBody]:
    """The turn that a chat completion asks for, and the parsed body.

    Raises:
        ValidationFailed, UnsupportedParameter (each names the `param`).
    """
    parsed = parse_body(ChatCompletionBody, body)
    extra = parsed.model_extra or {}
    for name, harmless in _UNSUPPORTED.items():
        if extra.get(name) is not None and extra[name] not in harmless:
            raise UnsupportedParameter(f"{name} is not supported here.", param=name)
    if parsed.top_logprobs is not None and not parsed.logprobs:
        raise ValidationFailed("top_logprobs needs logprobs: true.", param="top_logprobs")
    own = parsed.gateway
    if parsed.tools and own.tools:
        raise UnsupportedParameter(
            "A request has either tools of its own or the gateway's.", param="gateway.tools"
        )
    turn = Turn(
        request_id=request_id,
        messages=tuple(_message(m, at) for at, m in enumerate(parsed.messages)),
        model=parsed.model,
        sampling=_sampling(parsed),
        client_tools=tuple(_tool(tool, at) for at, tool in enumerate(parsed.tools or ())),
        tool_choice=_tool_choice(parsed),
        parallel_tool_calls=parsed.parallel_tool_calls,
        gateway_tools=tuple(own.tools or ()),
        response_format=_response_format(parsed.response_format),
        logprobs=bool(parsed.logprobs),
        top_logprobs=parsed.top_logprobs,
        role=own.role,
        task=own.task,
        fallbacks=tuple(own.fallbacks) if own.fallbacks is not None else None,
        use_cache=own.cache,
        guards=own.guardrails.wishes(),
        retractable=not parsed.stream,
        extra={name: value for name, value in extra.items() if name not in _NOT_PASSED_ON},
        incremental=bool(parsed.stream),
    )
    return turn, parsed


def _sampling(body: ChatCompletionBody) -> Sampling:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=stop,
        seed=body.seed,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
    )


def _message(body: MessageBody, at: int) -> Message:
    for name in _UNSUPPORTED_OF_MESSAGES:
        if (body.model_extra or {}).get(name) is not None:
            raise UnsupportedParameter(f"{name} is not supported here.", param=f"messages.{at}.{name}")
    if body.role == "tool":
        if body.tool_call_id is None:
            raise ValidationFailed("A tool message needs tool_call_id.", param=f"messages.{at}.tool_call_id")
    elif body.content is None and not body.tool_calls:
        raise ValidationFailed("A message needs content.", param=f"messages.{at}.content")
    if body.tool_calls and body.role != "assistant":
        raise ValidationFailed("Only an assistant message has tool_calls.", param=f"messages.{at}.tool_calls")
    return Message(
        role="system" if body.role == "developer" else body.role,
        content=_content(body.content, at),
        tool_calls=tuple(
            ToolCall(call.id, call.function.name, call.function.arguments, _given(call.model_extra))
            for call in body.tool_calls or ()
        ),
        tool_call_id=body.tool_call_id,
        name=body.name,
        vendor=VendorData(fields=fields) if (fields := _given(body.model_extra)) else None,
    )


def _given(extra: dict[str, Any] | None) -> dict[str, Any]:
    """Fields that are not known here and say something: upstreams that speak OpenAI's API get them."""
    return {
        name: value
        for name, value in (extra or {}).items()
        if value is not None and name not in _ANSWERS_ONLY
    }


def _content(content: str | list[ContentPart] | None, at: int) -> Content:
    if content is None or isinstance(content, str):
        return content or ""
    parts = tuple(_part(part, f"messages.{at}.content.{i}") for i, part in enumerate(content))
    if all(isinstance(part, TextPart) and not part.extra for part in parts):
        return "".join(part.text for part in parts if isinstance(part, TextPart))
    return parts


def _part(part: ContentPart, path: str) -> TextPart | ImagePart:
    if part.type == "text" and part.text is not None:
        return TextPart(part.text, _given(part.model_extra))
    if part.type == "refusal" and part.refusal is not None:
        return TextPart(part.refusal)
    if part.type == "image_url" and part.image_url is not None:
        if not part.image_url.url.startswith(("https://", "http://", "data:image/")):
            raise ValidationFailed("An image is an http(s) or data:image URL.", param=f"{path}.image_url.url")
        return ImagePart(part.image_url.url, part.image_url.detail, _given(part.model_extra))
    if part.type in ("text", "refusal", "image_url"):
        raise ValidationFailed(f"A part of this type needs its {part.type}.", param=path)
    raise UnsupportedParameter("Only text and image_url parts are supported.", param=f"{path}.type")


def _tool(tool: ToolBody, at: int) -> ToolSpec:
    if tool.type != "function":
        raise UnsupportedParameter("Only function tools are supported.", param=f"tools.{at}.type")
    if tool.function is None:
        raise ValidationFailed("A function tool needs its function.", param=f"tools.{at}.function")
    function = tool.function
    return ToolSpec(
        function.name,
        function.description or "",
        function.parameters or {"type": "object", "properties": {}},
        function.strict,
        _given(tool.model_extra),
    )


def _tool_choice(body: ChatCompletionBody) -> ToolChoice:
    choice = body.tool_choice
    if choice is None:
        return ToolChoice()
    if not body.tools and not body.gateway.tools and choice not in ("none", "auto"):
        raise ValidationFailed("tool_choice needs tools.", param="tool_choice")
    if isinstance(choice, NamedToolChoice):
        if body.tools and all(
            tool.function is None or tool.function.name != choice.function.name for tool in body.tools
        ):
            raise ValidationFailed("tool_choice names none of the tools.", param="tool_choice")
        return ToolChoice("function", choice.function.name)
    return ToolChoice(choice)


def _response_format(body: ResponseFormatBody | None) -> ResponseFormat | None:
    if body is None or body.type == "text":
        return None
    if body.type == "json_object":
        return ResponseFormat("json_object")
    if body.json_schema is None:
        raise ValidationFailed("json_schema is missing.", param="response_format.json_schema")
    spec = body.json_schema
    return ResponseFormat(
        "json_schema", spec.name, spec.schema_ or {}, spec.strict, description=spec.description
    )
