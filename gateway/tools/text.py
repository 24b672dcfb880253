"""Text from the web as a model is shown it: without what people cannot see, and within its room."""

from __future__ import annotations

import re

# Below what a tool's result is cut to, so that the cut is made here, where it can be told how to read on.
MAX_TEXT_BYTES = 15 * 1024

# Control characters but tab and newline, lone surrogates, and what models read and people do not see:
# zero-width characters that no script needs, overrides of the writing direction, and tags.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    r"\U000e0000-\U000e007f]"
)
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029\x85]")


def remove_invisible(text: str) -> str:
    """`text` without invisible characters, with at most one empty line in a row."""
    return _BLANK_LINES.sub("\n\n", _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))).strip()


def single_line(text: str, max_characters: int) -> str:
    """`text` as one line of at most `longest` characters."""
    joined = " ".join(remove_invisible(text[: max_characters * 4]).split())
    return joined if len(joined) <= max_characters else joined[: max_characters - 1].rstrip() + "…"


def truncate_to_bytes(text: str, max_characters: int, max_bytes: int) -> str:
    """The beginning of `text` that fits in `characters` and, as UTF-8, in `room` bytes."""
    return text[:max_characters].encode("utf-8", "ignore")[: max(max_bytes, 0)].decode("utf-8", "ignore")
