"""Writes a `ChatRequest` as the JSON body of OpenAI's `/chat/completions`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from gateway.core.exceptions import UpstreamRejected
from gateway.domain.chat import ChatRequest, ResponseFormat, ToolChoice, ToolSpec
from gateway.domain.messages import CLIENT_FIELDS, ImagePart, Message, RawPart, TextPart, ToolCall, call_body
from gateway.providers.chat.tool_schema import object_schema

_NOTHING: Mapping[str, Any] = {}
_LONGEST_ID = 40
_SEE_BELOW, _SHOWN = "The result is the image below.", "Images of the tools' results:"


def encode(request: ChatRequest, max_tokens_field: str, *, known_only: bool = False) -> bytes:
    """The body as bytes.

    Args:
        max_tokens_field: the vendor's name of the token limit.
        known_only: leave out fields of messages that OpenAI's own API does not document.

    Raises:
        UpstreamRejected: the request holds text that JSON cannot carry, such as a lone surrogate.
    """
    body: dict[str, Any] = {
        **request.extra,
        "model": request.model,
        "messages": _messages(request.messages, known_only),
    }
    _sampling(body, request, max_tokens_field)
    if request.tools:
        body["tools"] = [_tool(tool, known_only) for tool in request.tools]
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
    body["stream"] = request.incremental
    if request.incremental:
        body["stream_options"] = {"include_usage": True}
    else:
        body.pop("stream_options", None)
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise UpstreamRejected("The request holds text that cannot be written as JSON.") from error


def response_format(wanted: ResponseFormat) -> dict[str, Any]:
    """OpenAI's `response_format` object."""
    if wanted.type == "json_object":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema or {}}
    if wanted.description is not None:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}


def _sampling(body: dict[str, Any], request: ChatRequest, max_tokens_field: str) -> None:
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


def _messages(messages: Iterable[Message], known_only: bool) -> list[dict[str, Any]]:
    """The messages; images of tools' results follow them as the user's: a tool's message holds text only."""
    out: list[dict[str, Any]] = []
    images: list[ImagePart] = []
    for message in messages:
        if images and message.role != "tool":
            out.append(_shown(images, known_only))
            images = []
        if message.role == "tool" and message.has_images:
            images += [part for part in message.content if isinstance(part, ImagePart)]
            message = replace(message, content=message.text or _SEE_BELOW)
        out.append(_message(message, known_only))
    return [*out, _shown(images, known_only)] if images else out


def _shown(images: Sequence[ImagePart], known_only: bool) -> dict[str, Any]:
    parts: list[TextPart | ImagePart] = [TextPart(_SHOWN), *images]
    return {"role": "user", "content": [_part(part, known_only) for part in parts]}


def _message(message: Message, known_only: bool) -> dict[str, Any]:
    content = message.content
    own = message.vendor.fields if message.vendor is not None and not known_only else _NOTHING
    out: dict[str, Any] = {name: value for name, value in own.items() if name not in CLIENT_FIELDS}
    out["role"] = message.role
    if isinstance(content, str):
        out["content"] = None if message.tool_calls and not content else content
    else:
        out["content"] = [_part(part, known_only) for part in content]
    if message.tool_calls:
        out["tool_calls"] = [_call(call, known_only) for call in message.tool_calls]
    if message.tool_call_id is not None:
        out["tool_call_id"] = _id(message.tool_call_id) if known_only else message.tool_call_id
    if message.name is not None:
        out["name"] = message.name
    return out


def _call(call: ToolCall, known_only: bool) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments if call.arguments.strip() else "{}"}
    own = _NOTHING if known_only else call.extra
    return {**call_body(own, function), "id": _id(call.id) if known_only else call.id, "type": "function"}


def _id(call_id: str) -> str:
    """The id of a call as OpenAI's own API takes it: other vendors write longer ones."""
    if len(call_id) <= _LONGEST_ID:
        return call_id
    return "call_" + hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:32]


def _part(part: TextPart | ImagePart | RawPart, known_only: bool) -> dict[str, Any]:
    if isinstance(part, RawPart):
        return {**part.fields, "type": part.type}
    own = _NOTHING if known_only else part.extra
    if isinstance(part, TextPart):
        return {**own, "type": "text", "text": part.text}
    return {**own, "type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}


def _tool(tool: ToolSpec, known_only: bool) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        # OpenAI's own API refuses variants at the top of a schema.
        "parameters": object_schema(tool.parameters) if known_only else tool.parameters,
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {**tool.extra, "type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "function":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode
