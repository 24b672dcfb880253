"""Requests that Anthropic's `/v1/messages` rejects, with its error messages."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_THOUGHTS = ("thinking", "redacted_thinking")


def signature(thought: str) -> str:
    """What the vendor signs a thought with; it knows its own again."""
    return "Eq" + hashlib.sha256(thought.encode()).hexdigest()


def validation_error(body: dict[str, Any]) -> str | None:
    """The vendor's sentence for the first rule that the body breaks."""
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        return "max_tokens: Field required"
    if "4-5" in body["model"] and "temperature" in body and "top_p" in body:
        return "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    if any(not stop.strip() for stop in body.get("stop_sequences", ())):
        return "stop_sequences: each stop sequence must contain non-whitespace"
    if not body["messages"]:
        return "messages: at least one message is required"
    return _thinking(body) or _messages(body)


def _thinking(body: dict[str, Any]) -> str | None:
    thinking = body.get("thinking") or {}
    if thinking.get("type") not in ("enabled", "adaptive"):
        return None
    if body.get("temperature", 1) != 1:
        return "`temperature` may only be set to 1 when thinking is enabled."
    if "top_k" in body or body.get("top_p", 1) < 0.95:
        return "`top_k` must be unset and `top_p` at least 0.95 when thinking is enabled."
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        return "Thinking may not be enabled when tool_choice forces tool use."
    if thinking["type"] == "adaptive":
        return None
    if thinking["budget_tokens"] < 1024:
        return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    if body["max_tokens"] <= thinking["budget_tokens"]:
        return "`max_tokens` must be greater than `thinking.budget_tokens`."
    if _unthought(body["messages"]):
        return (
            "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."
            " When `thinking` is enabled, a final `assistant` message must start with a thinking block."
        )
    return None


def _unthought(messages: list[dict[str, Any]]) -> bool:
    for message in reversed(messages):
        blocks = _blocks(message)
        if message["role"] == "assistant":
            if any(block["type"] == "tool_use" for block in blocks):
                return bool(blocks[0]["type"] not in _THOUGHTS)
            return False
        if not any(block["type"] == "tool_result" for block in blocks):
            return False
    return False


def _messages(body: dict[str, Any]) -> str | None:
    pending: set[str] = set()
    for at, message in enumerate(body["messages"]):
        blocks = _blocks(message)
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if pending != results:
            return f"messages.{at}: `tool_use` ids and `tool_result` blocks do not match"
        pending = {block["id"] for block in blocks if block["type"] == "tool_use"}
        for block in blocks:
            sentence = _block(block)
            if sentence is not None:
                return f"messages.{at}.content: {sentence}"
    return None


def _block(block: dict[str, Any]) -> str | None:
    if block["type"] == "text" and not block["text"].strip():
        return "text content blocks must contain non-whitespace text"
    if block["type"] == "thinking" and block["signature"] != signature(block["thinking"]):
        return "Invalid `signature` in `thinking` block"
    if block["type"] == "tool_use" and not _ID.fullmatch(block["id"]):
        return "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    if block["type"] == "tool_use" and not isinstance(block["input"], dict):
        return "tool_use.input: Input should be a valid dictionary"
    return None


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]
