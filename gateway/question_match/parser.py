"""Parses a question into words, stems and the parts that must match."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from gateway.core.unicode_scripts import ends_in_hangul
from gateway.question_match.lexicon import (
    ANSWER_KINDS,
    CLOSED_CLASSES,
    FUNCTION_WORDS,
    KOREAN_ENDINGS,
    KOREAN_NEGATIONS,
    KOREAN_NEGATIVE_PARTS,
    KOREAN_ROLES,
    NEGATIONS,
    NUMBERS,
)

_TOKEN = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)?[+#]*")
# Symbols that change the meaning; a dash only before a digit.
_SIGNS = re.compile(r"[%*@\\{}]|[-/](?=\s?\d)")
_NOT = re.compile(r"(?i)\b(?:(ca)|(wo)|(sha))n't\b|n't\b")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'"})
_SUFFIXES = ("'s", "ies", "ing", "ied", "ers", "est", "ed", "es", "er", "ly", "s", "e")
_IRREGULAR = {
    "colour": "color",
    "favourite": "favorite",
    "programme": "program",
    "u": "you",
    "r": "are",
    "wat": "what",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "is not",
    "cant": "can not",
    "cannot": "can not",
}
_CONTRACTED_IS = {
    f"{word}'s" for word in ("what", "who", "where", "when", "how", "it", "that", "there", "here")
}
_QUANTITY_WORDS = {
    "many",
    "much",
    "long",
    "old",
    "far",
    "tall",
    "often",
    "big",
    "high",
    "fast",
    "deep",
    "heavy",
    "large",
}


@dataclass(frozen=True, slots=True)
class ParsedQuestion:
    """A question's lower-case `words`, their `stems`, and what must match.

    `numbers` contains symbols too: a question with `+` differs from one with `*`. `names` are stems that are
    capitalised within a sentence or contain a capital letter.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    content: Counter[str]
    numbers: Counter[str]
    names: frozenset[str]
    classes: frozenset[str]
    negations: int
    answer_kinds: frozenset[str]
    roles: frozenset[tuple[str, str]]


def parse(text: str) -> ParsedQuestion:
    """Parse `text`; a pure function."""
    text = unicodedata.normalize("NFKC", text)
    written = _expand(text)
    words = tuple(word.lower() for word in written)
    stems = tuple(map(stem, words))
    numbers = Counter(_number(word) for word in words if word[0].isdigit() or word in NUMBERS)
    numbers.update(_SIGNS.findall(text))
    # Symbols, and combining marks of many scripts.
    numbers.update(
        c for c in text if not c.isalnum() and unicodedata.category(c)[0] in "SM" and c not in "`´"
    )
    classes = frozenset(
        s
        for word, s in zip(words, stems, strict=True)
        if word in CLOSED_CLASSES or _strip_ending(word) in CLOSED_CLASSES
    )
    return ParsedQuestion(
        words=words,
        stems=stems,
        content=Counter(
            s
            for word, s in zip(words, stems, strict=True)
            if word not in FUNCTION_WORDS and not word[0].isdigit()
        ),
        numbers=numbers,
        names=_names(written, words, stems),
        classes=classes,
        negations=sum(map(_negates, words)),
        answer_kinds=frozenset(_kinds(words)),
        roles=frozenset(_roles(words, stems)),
    )


def _expand(text: str) -> list[str]:
    plain = _NOT.sub(_not, text.translate(_QUOTES))
    found: list[str] = []
    for token in _TOKEN.findall(plain):
        low = token.lower()
        if "'" in token and not low.endswith("'s"):
            found.extend(part for part in token.split("'") if part)
        elif low in _IRREGULAR:
            found.extend(_IRREGULAR[low].split())
        else:
            found.append(token[:-2] if low.endswith("'s") else token)
            if low in _CONTRACTED_IS:
                found.append("is")
    return found


def _not(found: re.Match[str]) -> str:
    can, will, shall = found.groups()
    return "can not" if can else "will not" if will else "shall not" if shall else " not"


def stem(word: str) -> str:
    """Approximate stem of a word; Korean words lose their particles."""
    if ends_in_hangul(word):
        return _strip_ending(word)
    if len(word) < 4 or not word.isascii():
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            base = word[: -len(suffix)]
            if suffix in ("ies", "ied"):
                return base + "y"
            if len(base) > 3 and base[-1] == base[-2] and suffix in ("ing", "ed", "er", "est", "ers"):
                base = base[:-1]
            if suffix == "s" and base[-1] == "s":
                return word
            return base[:-1] if base.endswith("e") and len(base) > 3 else base
    return word[:-1] + "y" if word.endswith("i") and len(word) > 4 else word


def _strip_ending(word: str) -> str:
    for ending in KOREAN_ENDINGS:
        if word.endswith(ending) and len(word) > len(ending):
            return word[: -len(ending)]
    return word


def _number(word: str) -> str:
    if word in NUMBERS:
        return NUMBERS[word]
    plain = word.replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain.lstrip("0") or "0"


def _names(written: list[str], words: tuple[str, ...], stems: tuple[str, ...]) -> frozenset[str]:
    # If even function words are capitalised, capitals mean nothing.
    little = [
        token[0].isupper()
        for token, word in zip(written[1:], words[1:], strict=True)
        if word in FUNCTION_WORDS
    ]
    shouting = sum(little) > len(little) / 2 or all(token.isupper() for token in written)
    return frozenset(
        s
        for at, (token, word, s) in enumerate(zip(written, words, stems, strict=True))
        if not shouting
        and (
            (len(token) > 1 and token.isupper())
            or (
                word not in FUNCTION_WORDS
                and (token[1:] != token[1:].lower() or (at > 0 and token[0].isupper()))
            )
            or (word == "may" and token[0].isupper() and at > 0)
        )
    )


def _negates(word: str) -> bool:
    return (
        word in NEGATIONS
        or word in KOREAN_NEGATIONS
        or (ends_in_hangul(word) and any(part in word for part in KOREAN_NEGATIVE_PARTS))
    )


def _kinds(words: tuple[str, ...]) -> list[str]:
    found = [ANSWER_KINDS[bare] for bare in map(_strip_ending, words) if bare in ANSWER_KINDS]
    found += [
        ANSWER_KINDS[word]
        for word in words
        if word in ANSWER_KINDS and _strip_ending(word) not in ANSWER_KINDS
    ]
    found += [
        f"amount:{after}" for how, after in pairwise(words) if how == "how" and after in _QUANTITY_WORDS
    ]
    return found


def _roles(words: tuple[str, ...], stems: tuple[str, ...]) -> list[tuple[str, str]]:
    return [
        (stem, KOREAN_ROLES[word[len(stem) :]])
        for word, stem in zip(words, stems, strict=True)
        if word.startswith(stem) and word[len(stem) :] in KOREAN_ROLES
    ]
