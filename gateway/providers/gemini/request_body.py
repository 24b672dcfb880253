"""Encodes messages and tools as Gemini's `contents` and `functionDeclarations`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall
from gateway.domain.requests import ChatRequest, ToolChoice
from gateway.providers.http.stream_decoders import repair_json_surrogates
from gateway.providers.inline_images import parse_image_data_url
from gateway.providers.tool_call_assembler import arguments_as_object

# The vendor's documented placeholder, which makes it accept tool calls of other vendors' models.
_EMPTY_TEXT = "…"
PLACEHOLDER_SIGNATURE = "skip_thought_signature_validator"


def body_overrides(request: ChatRequest, *, sign_unsigned_calls: bool) -> dict[str, Any]:
    """Return the body fields that the vendor's SDK would drop or change.

    The value None removes the SDK's field.

    Args:
        sign_unsigned_calls: add the placeholder signature to calls without one, for models that require it.
    """
    system = "\n\n".join(message.text for message in request.messages if message.role == "system")
    contents = _contents(request.messages, sign_unsigned_calls)
    if not contents:
        # At least one content is required, so the system prompt becomes the user message.
        contents, system = [{"role": "user", "parts": [{"text": system or _EMPTY_TEXT}]}], ""
    body: dict[str, Any] = {
        "contents": contents,
        "systemInstruction": {"parts": [{"text": system}]} if system else None,
        "tools": None,
        "toolConfig": None,
    }
    if request.tools:
        declarations = [
            {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
            for tool in request.tools
        ]
        body["tools"] = [{"functionDeclarations": declarations}]
        body["toolConfig"] = _tool_config(request.tool_choice)
    return body


def signature_extra(signature: str) -> dict[str, Any]:
    """Return the signature as the extra field that Gemini's OpenAI-compatible endpoint uses."""
    return {"extra_content": {"google": {"thought_signature": signature}}}


def _tool_config(choice: ToolChoice) -> dict[str, Any] | None:
    if choice.mode == "auto":
        return None
    config: dict[str, Any] = {"mode": "NONE" if choice.mode == "none" else "ANY"}
    if choice.mode == "function":
        config["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": config}


def _contents(messages: tuple[Message, ...], sign_unsigned_calls: bool) -> list[dict[str, Any]]:
    """Encode the messages, merging neighbours of the same role, as parallel tool results require."""
    out: list[dict[str, Any]] = []
    calls: dict[str, tuple[str, str | None]] = {}  # our id -> (name, the vendor's id)
    for message in messages:
        if message.role == "system":
            continue
        role = "model" if message.role == "assistant" else "user"
        if role == "model":
            parts = _model_parts(message, sign_unsigned_calls)
            function_calls = [part["functionCall"] for part in parts if "functionCall" in part]
            for call, function_call in zip(message.tool_calls, function_calls, strict=True):
                calls[call.id] = (call.name, function_call.get("id"))
        else:
            parts = _tool_parts(message, calls) if message.role == "tool" else _content_parts(message)
        if not parts:
            continue
        if out and out[-1]["role"] == role:
            out[-1]["parts"] += parts
        else:
            out.append({"role": role, "parts": parts})
    for content in out:
        # Function responses come first, then their images and the user's text.
        content["parts"].sort(key=lambda part: content["role"] == "user" and "functionResponse" not in part)
    return out


def _tool_parts(message: Message, calls: Mapping[str, tuple[str, str | None]]) -> list[dict[str, Any]]:
    """Return a tool result followed by its images.

    Not every model accepts images inside the result.
    """
    images = [part for part in _content_parts(message) if "inlineData" in part]
    return [_function_response(message, calls), *images]


def _model_parts(message: Message, sign_unsigned_calls: bool) -> list[dict[str, Any]]:
    """Return the vendor's own parts if it wrote the message, else text and calls with known signatures."""
    vendor = message.vendor
    if vendor is not None and vendor.content is not None:
        names = [part["functionCall"].get("name") for part in vendor.content if "functionCall" in part]
        if names == [call.name for call in message.tool_calls]:
            return list(vendor.content)
    calls = [_function_call(call) for call in message.tool_calls]
    if sign_unsigned_calls and calls and not any("thoughtSignature" in call for call in calls):
        calls[0]["thoughtSignature"] = PLACEHOLDER_SIGNATURE
    return [*_content_parts(message), *calls]


def _function_call(call: ToolCall) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"name": call.name, "args": arguments_as_object(call.arguments)}}
    google = _mapping(_mapping(call.extra.get("extra_content")).get("google"))
    signature = google.get("thought_signature")
    if isinstance(signature, str) and signature:
        part["thoughtSignature"] = signature
    return part


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _function_response(message: Message, calls: Mapping[str, tuple[str, str | None]]) -> dict[str, Any]:
    call_id = message.tool_call_id or ""
    name, vendor_id = calls.get(call_id, (message.name or "tool", None))
    try:
        response = orjson.loads(message.text)
    except orjson.JSONDecodeError:
        response = None
    function_response: dict[str, Any] = {
        "name": name,
        "response": response if isinstance(response, dict) else {"output": message.text},
    }
    if vendor_id is not None:
        function_response["id"] = vendor_id
    return {"functionResponse": function_response}


def _content_parts(message: Message) -> list[dict[str, Any]]:
    if isinstance(message.content, str):
        return [{"text": message.content}] if message.content else []
    return [
        _inline_image(part) if isinstance(part, ImagePart) else {"text": part.text}
        for part in message.content
        if isinstance(part, ImagePart) or (isinstance(part, TextPart) and part.text)
    ]


def _inline_image(part: ImagePart) -> dict[str, Any]:
    media_type, data = parse_image_data_url(part.url)
    return {"inlineData": {"mimeType": media_type, "data": data}}


class PartRecorder:
    """Records the parts of one answer, to send them back unchanged, and its finish reason."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self._parts: list[dict[str, Any]] = []

    def record(self, data: dict[str, Any]) -> None:
        """Record one object of the stream, or the whole response."""
        for candidate in data.get("candidates") or ():
            if candidate.get("index"):
                continue
            self.finish_reason = candidate.get("finishReason") or self.finish_reason
            for part in (candidate.get("content") or {}).get("parts") or ():
                self._append(part)

    @property
    def signed_parts(self) -> list[dict[str, Any]] | None:
        """All parts if one of them is signed, else None.

        Without a signature, the vendor needs none of them back.
        """
        if not any("thoughtSignature" in part for part in self._parts):
            return None
        parts: list[dict[str, Any]] = repair_json_surrogates(self._parts)
        return parts

    def call_extra(self, index: int) -> dict[str, Any]:
        """Return the extra field with the signature of a tool call, {} if it is unsigned."""
        calls = [part for part in self._parts if "functionCall" in part]
        signature = calls[index].get("thoughtSignature") if index < len(calls) else None
        return signature_extra(signature) if signature else {}

    def _append(self, part: dict[str, Any]) -> None:
        last = self._parts[-1] if self._parts else None
        text = {"text", "thought"}
        both_text = last is not None and text >= part.keys() and text >= last.keys()
        if both_text and last is not None and last.get("thought") == part.get("thought"):
            last["text"] = last.get("text", "") + part.get("text", "")
            return
        if part.get("text") != "" or len(part) > 1:
            self._parts.append(dict(part))
