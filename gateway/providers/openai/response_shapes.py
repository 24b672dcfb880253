"""Reads parts of OpenAI's responses in the variants that compatible servers send."""

from __future__ import annotations

from typing import Any

from gateway.core.exceptions import UpstreamBroken
from gateway.providers.http.stream_decoders import repair_json_surrogates

# Content part types, each with the field that contains its text.
_TEXT_FIELDS = {"text": "text", "output_text": "text", "refusal": "refusal"}
_ERROR_MESSAGE_FIELDS = ("message", "detail", "error_msg")


def is_error(answer: dict[str, Any]) -> bool:
    """Whether a response, or an object of a stream, is an error in any of the known forms."""
    if answer.get("error") or "error" in (answer.get("object"), answer.get("type")):
        return True
    if answer.get("choices"):
        return False
    return any(isinstance(answer.get(name), str) and answer[name] for name in _ERROR_MESSAGE_FIELDS)


def parse_logprobs(raw: Any) -> list[dict[str, Any]]:
    """Return the entries of a choice's `logprobs`, [] if they have an unknown form."""
    if type(raw) is not dict:
        return []
    entries = raw.get("content") or raw.get("refusal")
    if type(entries) is not list or not all(type(entry) is dict for entry in entries):
        return []
    logprobs: list[dict[str, Any]] = repair_json_surrogates(entries)
    return logprobs


def extract_text(content: Any) -> str:
    """Return the text of a string, of a content part, or of a list of these.

    Raises:
        UpstreamBroken: it is anything else.
    """
    if type(content) is list:
        return "".join(map(_part_text, content))
    return _part_text(content)


def _part_text(part: Any) -> str:
    if type(part) is str:
        return part
    if type(part) is not dict:
        raise UpstreamBroken
    part_type = part.get("type") or "text"
    text = part.get(_TEXT_FIELDS[part_type]) if type(part_type) is str and part_type in _TEXT_FIELDS else None
    return text if type(text) is str else ""
