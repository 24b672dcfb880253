"""Text features of the intent classifier, computed in a fraction of a millisecond."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.agent.intent.lexicon import ENGLISH, GROUPS, KOREAN
from gateway.core.unicode_scripts import HANGUL

_HEAD_CHARACTERS = 1200
_TAIL_CHARACTERS = 600
_MAX_LENGTH = 20_000  # longer texts count as this long

_WORD = re.compile(r"[a-z][a-z'\-]*")
_OPTION_A = re.compile(r"\n[ \t]{0,8}\(?A[.):]")
_OPTION_B = re.compile(r"\n[ \t]{0,8}\(?B[.):]")
_DIGIT = re.compile(r"[0-9]")
_OPERATOR = re.compile(r"[=+*/^<>|√∫∑]")
_SUM = re.compile(r"[0-9)]\s{0,3}[-+*/x×÷^%]\s{0,3}[(0-9]")
_CODE_MARK = re.compile(
    r"```|[{};][ \t]{0,3}\n|\b(?:def|class|return|import|const|let|var|SELECT|FROM)\s|=>|==|\(\)"
)
_UPPER = re.compile(r"[A-Z]")

FEATURE_NAMES = (
    "characters",
    "stem_characters",
    "option_characters",
    "exam",
    "distinct_words",
    "word_length",
    "digits",
    "digit_share",
    "operator_share",
    "sum",
    "lines",
    "question_mark",
    "exclamation",
    "blank",
    "upper_share",
    "comma_rate",
    "code_marks",
    "hangul_share",
    *GROUPS,
)


@dataclass(frozen=True, slots=True)
class Features:
    """Features of a text: `surface` follows `FEATURE_NAMES`.

    `stem` is the text without the options of a multiple-choice question.
    """

    stem: str
    surface: npt.NDArray[np.float64]
    is_multiple_choice: bool
    code_mark_count: int
    has_arithmetic: bool


def excerpt(text: str) -> str:
    """The beginning and end of a long text: one of them states the request."""
    if len(text) <= _HEAD_CHARACTERS + _TAIL_CHARACTERS:
        return text
    return f"{text[:_HEAD_CHARACTERS]}\n{text[-_TAIL_CHARACTERS:]}"


def extract(text: str) -> Features:
    full_length = min(len(text), _MAX_LENGTH)
    text = excerpt(text)
    options_at = _OPTION_A.search(text)
    is_multiple_choice = options_at is not None and _OPTION_B.search(text, options_at.end()) is not None
    stem = text[: options_at.start()] if is_multiple_choice and options_at else text
    length = max(1, len(text))
    words = _WORD.findall(text.lower())
    count = max(1, len(words))
    groups = _count_groups(words, text)
    digits = len(_DIGIT.findall(text))
    code_mark_count = len(_CODE_MARK.findall(text))
    has_arithmetic = _SUM.search(text) is not None
    surface = np.array(
        [
            math.log1p(full_length),
            math.log1p(len(stem) if is_multiple_choice else full_length),
            math.log1p(len(text) - len(stem)),
            float(is_multiple_choice),
            math.log1p(len(set(words))),
            min(sum(map(len, words)) / count, 12.0),
            math.log1p(digits),
            10 * digits / length,
            10 * len(_OPERATOR.findall(text)) / length,
            float(has_arithmetic),
            math.log1p(text.count("\n")),
            float("?" in stem),
            float("!" in stem),
            float("_" in stem),
            10 * len(_UPPER.findall(text)) / length,
            5 * text.count(",") / count,
            math.log1p(code_mark_count),
            len(HANGUL.findall(text)) / length,
            *(math.log1p(n) for n in groups.values()),
        ]
    )
    return Features(stem, surface, is_multiple_choice, code_mark_count, has_arithmetic)


def _count_groups(words: list[str], text: str) -> dict[str, int]:
    counts = [0] * len(GROUPS)
    for word in words:
        for index in ENGLISH.get(word, ()):
            counts[index] += 1
    if not text.isascii():
        for stem, index in KOREAN:
            if stem in text:
                counts[index] += 1
    return dict(zip(GROUPS, counts, strict=True))
