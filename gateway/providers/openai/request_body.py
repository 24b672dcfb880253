"""Encodes a `ChatRequest` as the JSON body of OpenAI's `/chat/completions`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from gateway.core.exceptions import UpstreamRejected
from gateway.domain.messages import (
    CLIENT_FIELDS,
    ImagePart,
    Message,
    RawPart,
    TextPart,
    ToolCall,
    tool_call_json,
)
from gateway.domain.requests import ChatRequest, ResponseFormat, ToolChoice, ToolSpec
from gateway.providers.tool_schema import flatten_object_schema

_EMPTY: Mapping[str, Any] = {}
_MAX_ID_CHARACTERS = 40
_IMAGE_BELOW_NOTE, _TOOL_IMAGES_NOTE = "The result is the image below.", "Images of the tool results:"


def encode_request(request: ChatRequest, max_tokens_field: str, *, known_fields_only: bool = False) -> bytes:
    """Return the JSON body of a request.

    Args:
        max_tokens_field: the server's name of the token limit.
        known_fields_only: leave out message fields that OpenAI does not document.

    Raises:
        UpstreamRejected: the request contains text that JSON cannot represent, such as a lone surrogate.
    """
    body: dict[str, Any] = {
        **request.extra,
        "model": request.model,
        "messages": _messages(request.messages, known_fields_only),
    }
    _add_sampling(body, request, max_tokens_field)
    if request.tools:
        body["tools"] = [_tool(tool, known_fields_only) for tool in request.tools]
        if request.tool_choice.mode != "auto":
            body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.response_format is not None:
        body["response_format"] = response_format(request.response_format)
    if request.logprobs:
        body["logprobs"] = True
        if request.top_logprobs is not None:
            body["top_logprobs"] = request.top_logprobs
    body["stream"] = request.stream
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    else:
        body.pop("stream_options", None)
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise UpstreamRejected("The request contains text that cannot be encoded as JSON.") from error


def response_format(requested: ResponseFormat) -> dict[str, Any]:
    """Return OpenAI's `response_format` object."""
    if requested.type == "json_object":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": requested.name or "answer", "schema": requested.schema or {}}
    if requested.description is not None:
        schema["description"] = requested.description
    if requested.strict is not None:
        schema["strict"] = requested.strict
    return {"type": "json_schema", "json_schema": schema}


def _add_sampling(body: dict[str, Any], request: ChatRequest, max_tokens_field: str) -> None:
    sampling = request.sampling
    fields = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        max_tokens_field: sampling.max_tokens,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    body.update({field: value for field, value in fields.items() if value is not None})
    if sampling.stop:
        body["stop"] = list(sampling.stop)


def _messages(messages: Iterable[Message], known_fields_only: bool) -> list[dict[str, Any]]:
    """Encode the messages.

    Images of tool results follow in a user message, because tool messages accept only text.
    """
    out: list[dict[str, Any]] = []
    images: list[ImagePart] = []
    for message in messages:
        if images and message.role != "tool":
            out.append(_image_message(images, known_fields_only))
            images = []
        if message.role == "tool" and message.has_images:
            images += [part for part in message.content if isinstance(part, ImagePart)]
            message = replace(message, content=message.text or _IMAGE_BELOW_NOTE)
        out.append(_message(message, known_fields_only))
    return [*out, _image_message(images, known_fields_only)] if images else out


def _image_message(images: Sequence[ImagePart], known_fields_only: bool) -> dict[str, Any]:
    parts: list[TextPart | ImagePart] = [TextPart(_TOOL_IMAGES_NOTE), *images]
    return {"role": "user", "content": [_content_part(part, known_fields_only) for part in parts]}


def _message(message: Message, known_fields_only: bool) -> dict[str, Any]:
    content = message.content
    extra = message.vendor.fields if message.vendor is not None and not known_fields_only else _EMPTY
    out: dict[str, Any] = {name: value for name, value in extra.items() if name not in CLIENT_FIELDS}
    out["role"] = message.role
    if isinstance(content, str):
        out["content"] = None if message.tool_calls and not content else content
    else:
        out["content"] = [_content_part(part, known_fields_only) for part in content]
    if message.tool_calls:
        out["tool_calls"] = [_tool_call(call, known_fields_only) for call in message.tool_calls]
    if message.tool_call_id is not None:
        out["tool_call_id"] = _shorten_id(message.tool_call_id) if known_fields_only else message.tool_call_id
    if message.name is not None:
        out["name"] = message.name
    return out


def _tool_call(call: ToolCall, known_fields_only: bool) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments if call.arguments.strip() else "{}"}
    extra = _EMPTY if known_fields_only else call.extra
    return {
        **tool_call_json(extra, function),
        "id": _shorten_id(call.id) if known_fields_only else call.id,
        "type": "function",
    }


def _shorten_id(call_id: str) -> str:
    """Shorten a tool call id to the length that OpenAI accepts.

    Other vendors' ids are longer.
    """
    if len(call_id) <= _MAX_ID_CHARACTERS:
        return call_id
    return "call_" + hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:32]


def _content_part(part: TextPart | ImagePart | RawPart, known_fields_only: bool) -> dict[str, Any]:
    if isinstance(part, RawPart):
        return {**part.fields, "type": part.type}
    extra = _EMPTY if known_fields_only else part.extra
    if isinstance(part, TextPart):
        return {**extra, "type": "text", "text": part.text}
    return {**extra, "type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}


def _tool(tool: ToolSpec, known_fields_only: bool) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        # OpenAI rejects combinators such as `anyOf` at the top level of a schema.
        "parameters": flatten_object_schema(tool.parameters) if known_fields_only else tool.parameters,
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {**tool.extra, "type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "function":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode
