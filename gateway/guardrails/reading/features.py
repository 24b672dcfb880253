"""Features of a text for the heads: counts, vectors and encoder output."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gateway.core.unicode_scripts import CJK_SENTENCE_ENDS, HANGUL_SYLLABLE, HANGUL_SYLLABLES
from gateway.guardrails.base import EmbedTexts
from gateway.guardrails.reading.encoder import POOLED_SIZE, Encoder, Window
from gateway.guardrails.reading.lexicon import CONCEPTS, PATTERNS

Floats = npt.NDArray[np.float32]

_SENTENCE = re.compile(rf"(?<=[.!?{CJK_SENTENCE_ENDS}:])\s+|\n+")
_QUOTED = re.compile(
    r"\"[^\"]{2,400}\"|“[^”]{2,400}”|„[^“”]{2,400}[“”]|«[^»]{2,400}»|`[^`]{2,400}`|(?<!\w)'[^']{2,400}'(?!\w)"
)
_MARKUP = re.compile(
    r"<\|?/?\w+\|?>|\[/?[A-Z_]{3,}\]|\b(?:system|user|assistant|human|ai) ?:"
    r"|#{2,}|={4,}|-{4,}|\*{3,}|\{\{|\]\]"
)
_UMLAUT = re.compile(r"[äöüß]|\b(?:der|die|das|und|ist|nicht|ich|sie|du|mir|wie|ein|eine)\b")
_ODD = re.compile(rf"[^\w\s.,;:!?'\"()\-…{HANGUL_SYLLABLES}]")
_SPACED = re.compile(r"\b(?:\w ){4,}\w\b")
_MIXED = re.compile(r"\b[a-z]+[0-9@$]+[a-z][a-z0-9@$]*\b|\b[0-9][a-z]{2,}[0-9]\w*\b")
_JOINED = re.compile(r"[a-zäöü] [A-ZÄÖÜ]{4,} [A-ZÄÖÜ]{2,}|\w  ?[A-Z](?: [a-z]){3,}")
_FENCE = re.compile(r"```|\b(?:import|def|return|print)\b|[{};]\s")
# Concepts that are more significant in one sentence.
_CONCEPT_PAIRS = (
    ("override", "rules"),
    ("override", "all_before"),
    ("override", "hidden"),
    ("override", "unbound"),
    ("override", "say"),
    ("override", "about_attacks"),
    ("override", "technical"),
    ("override", "everyday"),
    ("override", "asks"),
    ("rules", "all_before"),
    ("rules", "everyday"),
    ("reveal", "hidden"),
    ("reveal", "secret"),
    ("hidden", "asks"),
    ("persona", "unbound"),
    ("persona", "model"),
    ("persona", "asks"),
    ("persona", "from_now"),
    ("persona", "everyday"),
    ("from_now", "rules"),
    ("from_now", "your_answer"),
    ("unbound", "model"),
    ("unbound", "asks"),
    ("insert", "your_answer"),
    ("disguise", "your_answer"),
    ("promote", "your_answer"),
    ("promote", "insert"),
    ("send", "secret"),
    ("send", "promote"),
    ("harm", "asks"),
    ("harm", "make"),
    ("harm", "covert"),
    ("harm", "protective"),
    ("covert", "make"),
    ("covert", "protective"),
    ("secret", "covert"),
    ("harm", "about_attacks"),
    ("harm", "about_text"),
)
_STYLE_MARKS = (
    "characters", "sentences", "exclamations", "upper", "quotes", "quoted_share", "lines", "markup",
    "ends_asking", "hangul", "german", "odd", "digits", "longest_word", "fence", "turn", "shift",
    "opens_override", "closes_say", "override_quoted", "override_free", "spaced_letters", "mixed_words",
    "joined",
)  # fmt: skip
_PAIRS = tuple((CONCEPTS.index(a), CONCEPTS.index(b)) for a, b in _CONCEPT_PAIRS)
MARKS = (*CONCEPTS, *(f"{a}+{b}" for a, b in _CONCEPT_PAIRS), *_STYLE_MARKS)

VECTOR_SIZE = 256
LOGIT_COUNT = 8
INPUT_COUNT = len(MARKS) + 2 * VECTOR_SIZE + LOGIT_COUNT + 2 * POOLED_SIZE
_MAX_SENTENCES = 40
# In a text with at most this many sentences, the first and last are also encoded separately: injected
# instructions are often there.
_MAX_SENTENCES_READ_APART = 6


def sentences(text: str) -> list[str]:
    """Non-blank sentences and lines of `text`."""
    return [part for part in _SENTENCE.split(text) if part and not part.isspace()]


def extract_features(window: Window, encoder: Encoder, embed: EmbedTexts) -> Floats:
    """Extract `INPUT_COUNT` features of a window.

    `MARKS`, sentence vectors of the window and its last sentence, then the encoder's output.
    """
    parts = sentences(window.text)[:_MAX_SENTENCES]
    several = len(parts) > 1
    vectors = embed([window.text, parts[0], parts[-1]] if several else [window.text])
    logits, pooled = encoder.read(window)
    first = last = logits
    closing = pooled
    if several and len(parts) <= _MAX_SENTENCES_READ_APART:
        first, _ = encoder.read(encoder.passage(parts[0]))
        last, closing = encoder.read(encoder.passage(parts[-1]))
    counted = count_marks(window.text, parts, vectors[1:])
    highest = np.maximum(first, last)
    whole = vectors[0]
    end = vectors[-1] if len(parts) <= _MAX_SENTENCES_READ_APART else whole
    return np.concatenate([counted, whole, end, logits, highest, last, first, pooled, closing])


def count_marks(text: str, parts: list[str], ends: Floats) -> Floats:
    """The counted features; `ends` are vectors of the first and last sentence.

    `ends` is empty for a single sentence.
    """
    lower = text.lower()
    counts = np.array([len(pattern.findall(lower)) for pattern in PATTERNS], dtype=np.float32)
    found = [[pattern.search(part) is not None for pattern in PATTERNS] for part in map(str.lower, parts)]
    together = [float(sum(row[a] and row[b] for row in found)) for a, b in _PAIRS]
    quotes = [match.span() for match in _QUOTED.finditer(lower)]
    override = [match.start() for match in PATTERNS[0].finditer(lower)]
    inside = sum(any(a <= at < b for a, b in quotes) for at in override)
    size = max(1, len(text))
    shift = 1.0 - float(ends[0] @ ends[1]) if len(ends) else 0.0
    asked = [part.rstrip().endswith("?") for part in parts]
    style = [
        np.log1p(size) - 4.0,
        np.log1p(len(parts)),
        np.log1p(text.count("!")),
        min(1.0, 3 * sum(map(str.isupper, text)) / size),
        np.log1p(len(quotes)),
        sum(b - a for a, b in quotes) / size,
        np.log1p(text.count("\n")),
        np.log1p(len(_MARKUP.findall(lower))),
        float(bool(asked) and asked[-1]),
        len(HANGUL_SYLLABLE.findall(text)) / size,
        min(1.0, 8 * len(_UMLAUT.findall(lower)) / size),
        min(1.0, 5 * len(_ODD.findall(text)) / size),
        min(1.0, 5 * sum(map(str.isdigit, text)) / size),
        min(2.0, max(map(len, text.split()), default=0) / 20),
        np.log1p(len(_FENCE.findall(text))),
        float(any(a and not b for a, b in pairwise(asked))),
        shift,
        float(bool(found) and found[0][0]),
        float(bool(found) and found[-1][CONCEPTS.index("say")]),
        float(inside > 0),
        float(len(override) > inside),
        np.log1p(len(_SPACED.findall(text))),
        np.log1p(len(_MIXED.findall(lower))),
        np.log1p(len(_JOINED.findall(text))),
    ]
    return np.concatenate([np.log1p(counts), np.log1p(together), style]).astype(np.float32)
