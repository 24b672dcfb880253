"""The forms that servers have for parts of OpenAI's answers."""

from __future__ import annotations

from typing import Any

from gateway.core.exceptions import UpstreamBroken
from gateway.providers.chat.sse import whole_json

# Types of parts of a content, each with the field that holds its text.
_TEXTS = {"text": "text", "output_text": "text", "refusal": "refusal"}
_ERROR_TEXTS = ("message", "detail", "error_msg")


def further_fields(call: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Fields of a call that are the vendor's own and say something."""
    if known.issuperset(call):
        return {}
    return {
        name: whole_json(value) for name, value in call.items() if name not in known and value is not None
    }


def is_error(answer: dict[str, Any]) -> bool:
    """Whether an answer, or an object of a stream, is an error in any of the forms that servers have."""
    if answer.get("error") or "error" in (answer.get("object"), answer.get("type")):
        return True
    if answer.get("choices"):
        return False
    return any(isinstance(answer.get(name), str) and answer[name] for name in _ERROR_TEXTS)


def logprobs_of(given: Any) -> list[dict[str, Any]]:
    """The entries of a choice's `logprobs`; none where a server has another form for them."""
    if type(given) is not dict:
        return []
    entries = given.get("content") or given.get("refusal")
    if type(entries) is not list or not all(type(entry) is dict for entry in entries):
        return []
    logprobs: list[dict[str, Any]] = whole_json(entries)
    return logprobs


def text_of(content: Any) -> str:
    """Text given as a string, as a part or as a list of these.

    Raises:
        UpstreamBroken: it is anything else.
    """
    if type(content) is list:
        return "".join(map(_text, content))
    return _text(content)


def _text(part: Any) -> str:
    if type(part) is str:
        return part
    if type(part) is not dict:
        raise UpstreamBroken
    kind = part.get("type") or "text"
    text = part.get(_TEXTS[kind]) if type(kind) is str and kind in _TEXTS else None
    return text if type(text) is str else ""
