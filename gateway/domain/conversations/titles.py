"""Conversation titles, from the first question or from a model's answer."""

from __future__ import annotations

import re
import unicodedata

from gateway.core.unicode_scripts import CJK_SENTENCE_ENDS

MAX_TITLE = 60
UNTITLED = "New conversation"

# Only this much of a text is scanned for a title.
_WINDOW = 2000
# A shorter sentence is likely a greeting, which says nothing about the conversation.
_MIN_SENTENCE_CHARACTERS = 15

_FENCE = re.compile(r"^\s*(```|~~~)")
_BLOCK_MARK = re.compile(r"^(?:\s*(?:#{1,6}(?=\s)|>|[-*+](?=\s)|\d{1,3}[.)](?=\s)))+\s*")
_RULE = re.compile(r"^[\s*_=-]*$")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_STRONG = re.compile(r"(\*\*|__|~~)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=[^\s*_])([^*_]+?)(?<=\S)\1(?![\w*])")
_CODE = re.compile(r"`+([^`]*)`+")
_SENTENCE_END = re.compile(rf"(?<=[.!?…])\s+|(?<=[{CJK_SENTENCE_ENDS}])")
_JOINERS = "\u200c\u200d"

# A model's answer with more words than this is not a title; a shorter one is cut to the limits.
_MAX_ACCEPTED_WORDS = 24
_MAX_WORDS = 12
_MAX_CHARACTERS = 100
_LABEL = re.compile(r"^(?:conversation\s+)?(?:title|titel|titre|título|제목)\s*[:：]\s*", re.IGNORECASE)
_QUOTES = "\"'“”‘’„‚«»‹›「」『』`"
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_REFUSAL = re.compile(r"^(?:i['’]?m sorry|sorry\b|i can(?:no|['’])t\b|as an ai\b)", re.IGNORECASE)


def make_title(question: str) -> str:
    """Return the first sentence as plain text of at most 60 characters."""
    text = ""
    for line in question[:_WINDOW].splitlines():
        if not _FENCE.match(line) and not _RULE.match(line) and (text := _plain(line)):
            break
    return _shorten(_first_sentence(text)) or UNTITLED


def parse_model_title(answer: str) -> str | None:
    """Return the title in a model's answer, or None.

    A title is one line of at most 12 words, without quotes.
    """
    lines = _THINKING.sub("", answer[:_WINDOW]).splitlines()
    text = next((plain for line in lines if (plain := _plain(line))), "")
    text = _LABEL.sub("", text.strip(_QUOTES + " ")).strip(_QUOTES + " .。,;:：")
    words = text.split()
    if (
        not any(character.isalnum() for character in text)
        or len(words) > _MAX_ACCEPTED_WORDS
        or _REFUSAL.match(text)
        or (len(words) > 1 and len(set(words)) == 1)
    ):
        return None
    text = " ".join(words[:_MAX_WORDS])
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1].rstrip() + "…"


def _plain(line: str) -> str:
    """Remove Markdown and control characters, and collapse white space."""
    line = _BLOCK_MARK.sub("", line)
    for pattern, replacement in ((_LINK, r"\1"), (_CODE, r"\1"), (_STRONG, r"\2"), (_EMPHASIS, r"\2")):
        line = pattern.sub(replacement, line)
    if line.isprintable():
        return " ".join(line.split())
    printable = (
        character
        for character in line
        if character in _JOINERS
        or character.isspace()
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return " ".join("".join(printable).split())


def _first_sentence(text: str) -> str:
    for end in _SENTENCE_END.finditer(text):
        if end.start() >= _MIN_SENTENCE_CHARACTERS:
            return text[: end.start()]
    return text


def _shorten(text: str) -> str:
    if len(text) <= MAX_TITLE:
        return text
    cut = text[: MAX_TITLE - 1]
    head = text[:MAX_TITLE].rpartition(" ")[0]
    # Scripts without spaces, and very long words, are cut in the middle.
    if len(head) >= MAX_TITLE // 2:
        cut = head
    return cut.rstrip(" ,;:.-–—" + _JOINERS) + "…"
