"""Prepares text from the web for a model.

Removes invisible characters, limits the length.
"""

from __future__ import annotations

import re

# Below the limit of a tool result, so that truncation happens here, where the model learns how to read on.
MAX_TEXT_BYTES = 15 * 1024

# Control characters except tab and newline, lone surrogates, and characters that models read but people do
# not see: zero-width characters that no script needs, text direction overrides, and tag characters.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    r"\U000e0000-\U000e007f]"
)
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029\x85]")


def remove_invisible(text: str) -> str:
    """Remove invisible characters and repeated empty lines."""
    return _BLANK_LINES.sub("\n\n", _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))).strip()


def single_line(text: str, max_characters: int) -> str:
    """Return `text` as one line of at most `max_characters` characters."""
    joined = " ".join(remove_invisible(text[: max_characters * 4]).split())
    return joined if len(joined) <= max_characters else joined[: max_characters - 1].rstrip() + "…"


def truncate_to_bytes(text: str, max_characters: int, max_bytes: int) -> str:
    """Truncate `text` to `max_characters` characters and `max_bytes` bytes of UTF-8."""
    return text[:max_characters].encode("utf-8", "ignore")[: max(max_bytes, 0)].decode("utf-8", "ignore")
