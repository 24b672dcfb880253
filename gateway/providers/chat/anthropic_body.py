"""Writes a `ChatRequest` as the JSON body of Anthropic's `/v1/messages`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.core.exceptions import UnsupportedParameter, UpstreamRejected
from gateway.domain.chat import ChatRequest
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall
from gateway.domain.usage import estimate_tokens
from gateway.providers.chat.anthropic_schema import output_schema
from gateway.providers.chat.anthropic_thinking import apply_thinking, ask_to_think
from gateway.providers.chat.images import image_data
from gateway.providers.chat.openai_extras import refuse_parameters, thinking_budget
from gateway.providers.chat.tool_calls import arguments_of
from gateway.providers.chat.tool_schema import object_schema

# Only letters, digits, `_` and `-` may stand in an id; other vendors write others.
_NO_ID = re.compile(r"[^A-Za-z0-9_-]")
# Where neither the request nor the configuration has a limit: the vendor has to be given one.
_MAX_TOKENS = 4096
# What stands for a text that is empty: the vendor refuses white space.
_SILENCE = "…"
_THINKING = frozenset({"thinking", "redacted_thinking"})


def encode(request: ChatRequest, options: Mapping[str, Any]) -> bytes:
    """The body as bytes; `options` are further fields of it, by the configuration.

    Raises:
        UnsupportedParameter: the vendor cannot do what is asked; `param` names it.
        UpstreamRejected: the request holds text that JSON cannot carry.
    """
    check(request)
    messages, system = _messages(request.messages), _system(request.messages)
    if not messages:
        # The vendor wants a message: the instructions are the question then.
        messages, system = [{"role": "user", "content": system or _SILENCE}], ""
    body: dict[str, Any] = {**options, "model": request.model, "messages": messages}
    if system:
        body["system"] = system
    body["max_tokens"] = _max_tokens(request, options)
    _sampling(body, request)
    _tools(body, request)
    if request.response_format is not None:
        wanted = {"type": "json_schema", "schema": output_schema(request.response_format.schema or {})}
        body["output_config"] = {**(body.get("output_config") or {}), "format": wanted}
    ask_to_think(body, thinking_budget(request))
    apply_thinking(body)
    if request.incremental:
        body["stream"] = True
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise UpstreamRejected("The request holds text that cannot be written as JSON.") from error


def _max_tokens(request: ChatRequest, options: Mapping[str, Any]) -> int:
    """The caller's limit, the operator's, or the model's as far as its context window has room."""
    if request.sampling.max_tokens is not None:
        return request.sampling.max_tokens
    if options.get("max_tokens"):
        return int(options["max_tokens"])
    limit = request.max_output_tokens or _MAX_TOKENS
    window = request.context_window
    if window is None or sum(4 * len(message.text) for message in request.messages) < window - limit:
        return limit
    prompt = sum(estimate_tokens(message.text) for message in request.messages)
    return min(limit, max(_MAX_TOKENS, window - prompt * 5 // 4))


def check(request: ChatRequest) -> None:
    """See that the vendor can do what is asked.

    Raises:
        UnsupportedParameter: it cannot; `param` names what.
    """
    sampling = request.sampling
    wanted = request.response_format
    refuse_parameters(
        logprobs=request.logprobs,
        seed=sampling.seed,
        presence_penalty=sampling.presence_penalty or None,
        frequency_penalty=sampling.frequency_penalty or None,
        response_format=wanted is not None and wanted.type == "json_object",
    )
    thinking_budget(request)
    if sampling.temperature is not None and _top_p(request) is not None:
        raise UnsupportedParameter("This model takes either temperature or top_p.", param="top_p")
    if not all(stop.strip() for stop in sampling.stop):
        raise UnsupportedParameter("This model takes no stop sequence of white space only.", param="stop")
    for message in request.messages:
        if message.has_images:
            _content(message)


def _top_p(request: ChatRequest) -> float | None:
    return request.sampling.top_p if request.sampling.top_p != 1 else None  # 1 asks for nothing


def _sampling(body: dict[str, Any], request: ChatRequest) -> None:
    sampling, top_p = request.sampling, _top_p(request)
    if sampling.temperature is not None or top_p is not None:
        body.pop("temperature", None)
        body.pop("top_p", None)
    if sampling.temperature is not None:
        body["temperature"] = min(sampling.temperature, 1.0)  # OpenAI's scale goes to 2
    if top_p is not None:
        body["top_p"] = top_p
    if sampling.stop:
        body["stop_sequences"] = list(sampling.stop)


def _tools(body: dict[str, Any], request: ChatRequest) -> None:
    if not request.tools:
        return
    body["tools"] = [
        {
            **_cached(tool.extra),
            "name": tool.name,
            "description": tool.description,
            "input_schema": object_schema(tool.parameters),
        }
        for tool in request.tools
    ]
    choice = request.tool_choice
    out: dict[str, Any] = {}
    if choice.mode == "function":
        out = {"type": "tool", "name": choice.name}
    elif choice.mode != "auto":
        out = {"type": "any" if choice.mode == "required" else "none"}
    if request.parallel_tool_calls is not None and choice.mode != "none":
        out = {"type": "auto", **out, "disable_parallel_tool_use": not request.parallel_tool_calls}
    if out:
        body["tool_choice"] = out


def _system(messages: tuple[Message, ...]) -> str | list[dict[str, Any]]:
    """All system messages as one; as blocks where one of them is marked for the vendor's cache."""
    system = [message for message in messages if message.role == "system"]
    blocks = [block for message in system for block in _content(message)]
    if any("cache_control" in block for block in blocks):
        return blocks
    return "\n\n".join(message.text for message in system if message.text.strip())


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Neighbours of one side become one message: the results of parallel calls have to be."""
    out: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        content = _assistant(message) if role == "assistant" else _user(message)
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
            "text": last["text"].rstrip() or _SILENCE,
        }  # the vendor refuses both
    _make_ids_unique(out)
    return [_plain(message) for message in out]


def _make_ids_unique(messages: list[dict[str, Any]]) -> None:
    """Rename calls whose id an earlier call has, and their results: some vendors begin at 0 in a turn."""
    seen: set[str] = set()
    used: dict[str, int] = {}
    open_calls: dict[str, deque[str]] = {}
    for message in messages:
        content = message["content"]
        for at, block in enumerate(content):
            if block["type"] == "tool_use":
                id_ = block["id"]
                new = id_
                while new in seen:
                    used[id_] = used.get(id_, 1) + 1
                    new = f"{id_}_{used[id_]}"
                seen.add(new)
                open_calls.setdefault(id_, deque()).append(new)
                content[at] = {**block, "id": new}
            elif block["type"] == "tool_result" and (waiting := open_calls.get(block["tool_use_id"])):
                content[at] = {**block, "tool_use_id": waiting.popleft()}


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return {"role": message["role"], "content": content[0]["text"]}
    return message


def _user(message: Message) -> list[dict[str, Any]]:
    content = _content(message)
    if message.role != "tool":
        return content
    marks = [block.pop("cache_control") for block in content if "cache_control" in block]
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(message.tool_call_id or "")}
    if content:
        texts = [block["text"] for block in content if block["type"] == "text"]
        result["content"] = texts[0] if len(content) == 1 and texts else content
    return [{**result, "cache_control": marks[-1]} if marks else result]


def _assistant(message: Message) -> list[dict[str, Any]]:
    """As the vendor wrote it, where it did; else thoughts that a client sent back, text and calls."""
    own = message.vendor
    if own is not None and own.content is not None:
        ids = [block.get("id") for block in own.content if block.get("type") == "tool_use"]
        if ids == [call.id for call in message.tool_calls]:
            return list(own.content)
    thoughts = own.fields.get("thinking_blocks") if own is not None else None
    blocks = [block for block in thoughts or () if isinstance(block, dict) and block.get("type") in _THINKING]
    return [*blocks, *_content(message), *map(_call, message.tool_calls)]


def _call(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": arguments_of(call.arguments)}


def _content(message: Message) -> list[dict[str, Any]]:
    """Blocks of text and images; empty ones are left out, for the vendor refuses them."""
    if isinstance(message.content, str):
        blocks = [_text(message.content, {})] if message.content.strip() else []
    else:
        blocks = [
            _image(part) if isinstance(part, ImagePart) else _text(part.text, part.extra)
            for part in message.content
            if isinstance(part, ImagePart) or (isinstance(part, TextPart) and part.text.strip())
        ]
    mark = message.vendor.fields.get("cache_control") if message.vendor is not None else None
    if mark and blocks:
        blocks[-1]["cache_control"] = mark
    return blocks


def _text(text: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": text, **_cached(extra)}


def _image(part: ImagePart) -> dict[str, Any]:
    kind, data = image_data(part.url)
    source = {"type": "base64", "media_type": kind, "data": data}
    return {"type": "image", "source": source, **_cached(part.extra)}


def _cached(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {"cache_control": extra["cache_control"]} if extra.get("cache_control") else {}


def _id(id_: str) -> str:
    return _NO_ID.sub("_", id_)
