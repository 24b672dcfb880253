"""Parses a chat completion body into a `Turn`.

Unsupported parameters are errors, never ignored.
"""

from __future__ import annotations

from typing import Any

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.dialects.base import parse_body
from gateway.dialects.openai.chat.body import (
    ChatCompletionBody,
    ContentPart,
    MessageBody,
    ResponseFormatBody,
)
from gateway.dialects.openai.chat.tools import chat_tools, non_null_fields, tool_call, tool_choice
from gateway.dialects.openai.content_parts import parse_image_url, raw_part
from gateway.dialects.openai.forwarded_fields import forwarded_fields
from gateway.domain.messages import CLIENT_FIELDS, Content, ImagePart, Message, RawPart, TextPart, VendorData
from gateway.domain.requests import ResponseFormat, Sampling, Turn

# Accepted for OpenAI's own accounting; not forwarded to upstreams.
_NOT_FORWARDED = frozenset({"user", "metadata", "store"})
# Not supported by any provider here; None and the listed values have no effect.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "functions": ([],),
    "function_call": ("none", "auto"),
    "audio": (),
    "modalities": (["text"],),
    "web_search_options": (),
}
# Fields of the gateway's answers that clients send back and upstreams do not accept.
_RESPONSE_ONLY_FIELDS = frozenset(CLIENT_FIELDS)
_UNSUPPORTED_MESSAGE_FIELDS = ("function_call", "audio")


def parse_completion(body: bytes, request_id: str) -> tuple[Turn, ChatCompletionBody]:
    """Parse the body of a chat completion; return its turn and the body.

    Raises:
        ValidationFailed, UnsupportedParameter: each names the `param`.
    """
    parsed = parse_body(ChatCompletionBody, body)
    extra = parsed.model_extra or {}
    for name, ignored_values in _UNSUPPORTED.items():
        if extra.get(name) is not None and extra[name] not in ignored_values:
            raise UnsupportedParameter(f"{name} is not supported.", param=name)
    if parsed.top_logprobs and not parsed.logprobs:
        raise ValidationFailed("top_logprobs requires logprobs: true.", param="top_logprobs")
    gateway_fields = parsed.gateway
    if parsed.tools and gateway_fields.tools:
        raise UnsupportedParameter(
            "A request can use its own tools or the gateway's, not both.", param="gateway.tools"
        )
    tools = chat_tools(parsed.tools or ())
    choice, offered = tool_choice(parsed, tools)
    turn = Turn(
        request_id=request_id,
        messages=tuple(_message(message, index) for index, message in enumerate(parsed.messages)),
        model=parsed.model,
        sampling=_sampling(parsed),
        client_tools=offered,
        tool_choice=choice,
        parallel_tool_calls=parsed.parallel_tool_calls,
        gateway_tools=tuple(gateway_fields.tools or ()),
        response_format=_response_format(parsed.response_format),
        logprobs=bool(parsed.logprobs),
        top_logprobs=parsed.top_logprobs,
        role=gateway_fields.role,
        task=gateway_fields.task,
        fallbacks=tuple(gateway_fields.fallbacks) if gateway_fields.fallbacks is not None else None,
        use_cache=gateway_fields.cache,
        guard_overrides=gateway_fields.guardrails.overrides(),
        can_retract=not parsed.stream,
        extra=forwarded_fields(extra, _NOT_FORWARDED | _UNSUPPORTED.keys()),
        stream=bool(parsed.stream),
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


def _message(body: MessageBody, index: int) -> Message:
    for name in _UNSUPPORTED_MESSAGE_FIELDS:
        if (body.model_extra or {}).get(name) is not None:
            raise UnsupportedParameter(f"{name} is not supported.", param=f"messages.{index}.{name}")
    if body.role == "tool":
        if body.tool_call_id is None:
            raise ValidationFailed(
                "A tool message needs tool_call_id.", param=f"messages.{index}.tool_call_id"
            )
    elif body.content is None and body.role != "assistant":
        raise ValidationFailed("A message needs content.", param=f"messages.{index}.content")
    if body.tool_calls and body.role != "assistant":
        raise ValidationFailed(
            "Only an assistant message can have tool_calls.", param=f"messages.{index}.tool_calls"
        )
    return Message(
        role="system" if body.role == "developer" else body.role,
        # A refusal is assistant text; other vendors have no field for it.
        content=_content(body.content or body.refusal, index),
        tool_calls=tuple(
            tool_call(call, f"messages.{index}.tool_calls.{i}")
            for i, call in enumerate(body.tool_calls or ())
        ),
        tool_call_id=body.tool_call_id,
        name=body.name,
        vendor=VendorData(fields=fields) if (fields := _extra_fields(body)) else None,
    )


def _extra_fields(body: MessageBody | ContentPart) -> dict[str, Any]:
    return non_null_fields(body.model_extra, _RESPONSE_ONLY_FIELDS)


def _content(content: str | list[ContentPart] | None, index: int) -> Content:
    if content is None or isinstance(content, str):
        return content or ""
    parts = tuple(_part(part, f"messages.{index}.content.{i}") for i, part in enumerate(content))
    if all(isinstance(part, TextPart) and not part.extra for part in parts):
        return "".join(part.text for part in parts if isinstance(part, TextPart))
    return parts


def _part(part: ContentPart, path: str) -> TextPart | ImagePart | RawPart:
    if part.type == "text" and part.text is not None:
        return TextPart(part.text, _extra_fields(part))
    if part.type == "refusal" and part.refusal is not None:
        return TextPart(part.refusal)
    if part.type == "image_url" and part.image_url is not None:
        return ImagePart(
            parse_image_url(part.image_url.url, f"{path}.image_url.url"),
            part.image_url.detail or "auto",
            _extra_fields(part),
        )
    if part.type in ("file", "input_audio"):
        return raw_part(part.type, (part.model_extra or {}).get(part.type), path)
    if part.type in ("text", "refusal", "image_url"):
        raise ValidationFailed(f"A part of this type needs the field {part.type}.", param=path)
    raise UnsupportedParameter(
        "Only text, image_url, file and input_audio parts are supported.", param=f"{path}.type"
    )


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
