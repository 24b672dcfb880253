"""Encodes a `ChatRequest` as the JSON body of Anthropic's `/v1/messages`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.core.exceptions import UnsupportedParameter, UpstreamRejected
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall
from gateway.domain.money import estimate_tokens
from gateway.domain.requests import ChatRequest
from gateway.providers.anthropic.output_schema import output_schema
from gateway.providers.anthropic.thinking import adapt_to_thinking, set_thinking_budget
from gateway.providers.inline_images import parse_image_data_url
from gateway.providers.request_params import reject_parameters, thinking_budget
from gateway.providers.tool_call_assembler import arguments_as_object
from gateway.providers.tool_schema import flatten_object_schema

# Ids may contain only letters, digits, `_` and `-`; other vendors' ids contain more.
_INVALID_ID_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")
# The vendor requires a limit; used if neither the request nor the configuration has one.
_DEFAULT_MAX_TOKENS = 4096
# Sent in place of empty text, because the vendor rejects blank text.
_EMPTY_TEXT = "…"
_THINKING_BLOCKS = frozenset({"thinking", "redacted_thinking"})


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> bytes:
    """Return the JSON body of a request.

    Args:
        options: default fields of the body, from the configuration.

    Raises:
        UnsupportedParameter: the vendor does not support a parameter; `param` names it.
        UpstreamRejected: the request contains text that JSON cannot represent.
    """
    reject_unsupported(request)
    messages, system = _messages(request.messages), _system(request.messages)
    if not messages:
        # At least one message is required, so the system prompt becomes the user message.
        messages, system = [{"role": "user", "content": system or _EMPTY_TEXT}], ""
    body: dict[str, Any] = {**options, "model": request.model, "messages": messages}
    if system:
        body["system"] = system
    body["max_tokens"] = _max_tokens(request, options)
    _add_sampling(body, request)
    _add_tools(body, request)
    if request.response_format is not None:
        output_format = {"type": "json_schema", "schema": output_schema(request.response_format.schema or {})}
        body["output_config"] = {**(body.get("output_config") or {}), "format": output_format}
    set_thinking_budget(body, thinking_budget(request))
    adapt_to_thinking(body)
    if request.stream:
        body["stream"] = True
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise UpstreamRejected("The request contains text that cannot be encoded as JSON.") from error


def _max_tokens(request: ChatRequest, options: Mapping[str, Any]) -> int:
    """Return the limit of the request, of the configuration, or what fits the model's context window."""
    if request.sampling.max_tokens is not None:
        return request.sampling.max_tokens
    if options.get("max_tokens"):
        return int(options["max_tokens"])
    limit = request.max_output_tokens or _DEFAULT_MAX_TOKENS
    window = request.context_window
    if window is None or sum(4 * len(message.text) for message in request.messages) < window - limit:
        return limit
    prompt = sum(estimate_tokens(message.text) for message in request.messages)
    return min(limit, max(_DEFAULT_MAX_TOKENS, window - prompt * 5 // 4))


def reject_unsupported(request: ChatRequest) -> None:
    """Check that the vendor supports every parameter of the request.

    Raises:
        UnsupportedParameter: it does not; `param` names the first one.
    """
    sampling = request.sampling
    output_format = request.response_format
    reject_parameters(
        logprobs=request.logprobs,
        seed=sampling.seed,
        presence_penalty=sampling.presence_penalty or None,
        frequency_penalty=sampling.frequency_penalty or None,
        response_format=output_format is not None and output_format.type == "json_object",
    )
    thinking_budget(request)
    if sampling.temperature is not None and _top_p(request) is not None:
        raise UnsupportedParameter("This model accepts temperature or top_p, not both.", param="top_p")
    if not all(stop.strip() for stop in sampling.stop):
        raise UnsupportedParameter("This model accepts no stop sequence of only white space.", param="stop")
    for message in request.messages:
        if message.has_images:
            _content_blocks(message)


def _top_p(request: ChatRequest) -> float | None:
    return request.sampling.top_p if request.sampling.top_p != 1 else None  # 1 is the default


def _add_sampling(body: dict[str, Any], request: ChatRequest) -> None:
    sampling, top_p = request.sampling, _top_p(request)
    if sampling.temperature is not None or top_p is not None:
        body.pop("temperature", None)
        body.pop("top_p", None)
    if sampling.temperature is not None:
        body["temperature"] = min(sampling.temperature, 1.0)  # OpenAI's range ends at 2
    if top_p is not None:
        body["top_p"] = top_p
    if sampling.stop:
        body["stop_sequences"] = list(sampling.stop)


def _add_tools(body: dict[str, Any], request: ChatRequest) -> None:
    if not request.tools:
        return
    body["tools"] = [
        {
            **_cache_control(tool.extra),
            "name": tool.name,
            "description": tool.description,
            "input_schema": flatten_object_schema(tool.parameters),
        }
        for tool in request.tools
    ]
    choice = request.tool_choice
    tool_choice: dict[str, Any] = {}
    if choice.mode == "function":
        tool_choice = {"type": "tool", "name": choice.name}
    elif choice.mode != "auto":
        tool_choice = {"type": "any" if choice.mode == "required" else "none"}
    if request.parallel_tool_calls is not None and choice.mode != "none":
        tool_choice = {
            "type": "auto",
            **tool_choice,
            "disable_parallel_tool_use": not request.parallel_tool_calls,
        }
    if tool_choice:
        body["tool_choice"] = tool_choice


def _system(messages: tuple[Message, ...]) -> str | list[dict[str, Any]]:
    """Join the system messages into one text, or into blocks if one has a `cache_control` mark."""
    system = [message for message in messages if message.role == "system"]
    blocks = [block for message in system for block in _content_blocks(message)]
    if any("cache_control" in block for block in blocks):
        return blocks
    return "\n\n".join(message.text for message in system if message.text.strip())


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Encode the messages, merging neighbours of the same role, as parallel tool results require."""
    out: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        content = _assistant_content(message) if role == "assistant" else _user_content(message)
        if not content:
            continue
        if out and out[-1]["role"] == role:
            out[-1]["content"] += content
        else:
            out.append({"role": role, "content": content})
    if out and out[-1]["role"] == "assistant" and out[-1]["content"][-1]["type"] == "text":
        last = out[-1]["content"][-1]
        out[-1]["content"][-1] = {
            **last,
            "text": last["text"].rstrip() or _EMPTY_TEXT,
        }  # the vendor rejects trailing white space and empty text
    _make_ids_unique(out)
    return [_simplify(message) for message in out]


def _make_ids_unique(messages: list[dict[str, Any]]) -> None:
    """Make tool call ids unique, together with those of their results.

    Some vendors number the calls of every turn from 0.
    """
    seen: set[str] = set()
    suffixes: dict[str, int] = {}
    open_calls: dict[str, deque[str]] = {}
    for message in messages:
        content = message["content"]
        for index, block in enumerate(content):
            if block["type"] == "tool_use":
                call_id = block["id"]
                new_id = call_id
                while new_id in seen:
                    suffixes[call_id] = suffixes.get(call_id, 1) + 1
                    new_id = f"{call_id}_{suffixes[call_id]}"
                seen.add(new_id)
                open_calls.setdefault(call_id, deque()).append(new_id)
                content[index] = {**block, "id": new_id}
            elif block["type"] == "tool_result" and (pending_ids := open_calls.get(block["tool_use_id"])):
                content[index] = {**block, "tool_use_id": pending_ids.popleft()}


def _simplify(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return {"role": message["role"], "content": content[0]["text"]}
    return message


def _user_content(message: Message) -> list[dict[str, Any]]:
    content = _content_blocks(message)
    if message.role != "tool":
        return content
    cache_controls = [block.pop("cache_control") for block in content if "cache_control" in block]
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": _sanitize_id(message.tool_call_id or "")}
    if content:
        texts = [block["text"] for block in content if block["type"] == "text"]
        result["content"] = texts[0] if len(content) == 1 and texts else content
    return [{**result, "cache_control": cache_controls[-1]} if cache_controls else result]


def _assistant_content(message: Message) -> list[dict[str, Any]]:
    """Return the vendor's own blocks if it wrote the message, else thinking blocks, text and tool calls."""
    vendor = message.vendor
    if vendor is not None and vendor.content is not None:
        ids = [block.get("id") for block in vendor.content if block.get("type") == "tool_use"]
        if ids == [call.id for call in message.tool_calls]:
            return list(vendor.content)
    thinking = vendor.fields.get("thinking_blocks") if vendor is not None else None
    blocks = [
        block for block in thinking or () if isinstance(block, dict) and block.get("type") in _THINKING_BLOCKS
    ]
    return [*blocks, *_content_blocks(message), *map(_tool_use, message.tool_calls)]


def _tool_use(call: ToolCall) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": _sanitize_id(call.id),
        "name": call.name,
        "input": arguments_as_object(call.arguments),
    }


def _content_blocks(message: Message) -> list[dict[str, Any]]:
    """Return text and image blocks, without empty ones, which the vendor rejects."""
    if isinstance(message.content, str):
        blocks = [_text_block(message.content, {})] if message.content.strip() else []
    else:
        blocks = [
            _image_block(part) if isinstance(part, ImagePart) else _text_block(part.text, part.extra)
            for part in message.content
            if isinstance(part, ImagePart) or (isinstance(part, TextPart) and part.text.strip())
        ]
    cache_control = message.vendor.fields.get("cache_control") if message.vendor is not None else None
    if cache_control and blocks:
        blocks[-1]["cache_control"] = cache_control
    return blocks


def _text_block(text: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": text, **_cache_control(extra)}


def _image_block(part: ImagePart) -> dict[str, Any]:
    media_type, data = parse_image_data_url(part.url)
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "image", "source": source, **_cache_control(part.extra)}


def _cache_control(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {"cache_control": extra["cache_control"]} if extra.get("cache_control") else {}


def _sanitize_id(call_id: str) -> str:
    return _INVALID_ID_CHARACTER.sub("_", call_id)
