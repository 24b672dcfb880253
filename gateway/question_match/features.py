"""Numeric features of a pair of questions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.question_match.lexicon import (
    PERSONS,
    SUPERLATIVES,
    WH,
    YES_NO,
)
from gateway.question_match.parser import ParsedQuestion
from gateway.question_match.rules import unmatched_function_words, unmatched_stems

Array = npt.NDArray[np.float32]

WEIGHT_COUNT = 4096
FEATURE_NAMES = (
    "cosine",
    "aligned_less",
    "aligned_more",
    "worst_less",
    "worst_more",
    "rest_less",
    "rest_more",
    "rest_cosine",
    "words_jaccard",
    "content_jaccard",
    "content_contained",
    "characters_dice",
    "pairs_dice",
    "order",
    "length_ratio",
    "words_fewer",
    "left_less",
    "left_more",
    "weight_less",
    "weight_more",
    "max_weight",
    "total_weight",
    "max_weight_by_distance",
    "grammar_worst",
    "grammar_total",
    "grammar_count",
    "opening_same",
    "ending_same",
    "wh_same",
    "why",
    "how",
    "yes_no",
    "persons_same",
    "superlative",
    "kinds_same",
    "names_shared",
    "numbers_shared",
)


@dataclass(frozen=True, slots=True)
class EmbeddedQuestion:
    """A parsed question with its token vectors of shape (tokens, 256), not normalised."""

    text: str
    parsed: ParsedQuestion
    vectors: Array


def weight_index(stem: str) -> int:
    """Index of a stem's weight, the same in every process."""
    value = 2166136261
    for byte in stem.encode("utf-8", "replace"):
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return (value ^ (value >> 15)) % WEIGHT_COUNT


def _worst_and_sum(values: list[float]) -> tuple[float, float]:
    return max(values, default=0.0), sum(values)


def features(a: EmbeddedQuestion, b: EmbeddedQuestion, word_weights: Array) -> Array:
    """Features in the order of `FEATURE_NAMES`; symmetric in `a` and `b`.

    Args:
        word_weights: shape (WEIGHT_COUNT,), how much an unmatched word speaks against equality.
    """
    cosine, aligned, worst, rest, rest_cosine = _alignment(a.vectors, b.vectors)
    return np.array(
        [
            cosine,
            *sorted(aligned),
            *sorted(worst),
            *sorted(rest),
            rest_cosine,
            *_overlap(a, b),
            *_unmatched_weights(a.parsed, b.parsed, word_weights, cosine),
            *_agreement(a.parsed, b.parsed),
        ],
        dtype=np.float32,
    )


def _overlap(a: EmbeddedQuestion, b: EmbeddedQuestion) -> list[float]:
    """Features of the words and characters in common, and of the lengths."""
    words_a, words_b = set(a.parsed.stems), set(b.parsed.stems)
    content_a, content_b = a.parsed.content, b.parsed.content
    shared = sum((content_a & content_b).values())
    least = max(1, min(len(content_a), len(content_b)))
    fewer, more = sorted((len(a.parsed.words), len(b.parsed.words)))
    return [
        len(words_a & words_b) / max(1, len(words_a | words_b)),
        shared / max(1, sum((content_a | content_b).values())),
        shared / least,
        _dice(_trigrams(a.text), _trigrams(b.text)),
        _dice(_bigrams(a.parsed.stems), _bigrams(b.parsed.stems)),
        _common_order(a.parsed.stems, b.parsed.stems),
        fewer / max(1, more),
        fewer,
    ]


def _unmatched_weights(
    a: ParsedQuestion, b: ParsedQuestion, word_weights: Array, cosine: float
) -> list[float]:
    """Features of the words that only one question has."""
    unmatched_a, unmatched_b = unmatched_stems(a, b)
    weights_a = [float(word_weights[weight_index(stem)]) for stem in unmatched_a]
    weights_b = [float(word_weights[weight_index(stem)]) for stem in unmatched_b]
    weights = [*weights_a, *weights_b]
    function_words = unmatched_function_words(a, b)
    return [
        *sorted((len(unmatched_a), len(unmatched_b))),
        *sorted((sum(weights_a), sum(weights_b))),
        *_worst_and_sum(weights),
        max(weights, default=0.0) * (1 - cosine),
        *_worst_and_sum([float(word_weights[weight_index(word)]) for word in function_words]),
        len(function_words),
    ]


def _agreement(a: ParsedQuestion, b: ParsedQuestion) -> list[float]:
    """Features of form and of what is asked for."""
    opening_a, opening_b = _question_word(a), _question_word(b)
    return [
        float(a.words[:2] == b.words[:2]),
        float(a.stems[-1:] == b.stems[-1:]),
        float(opening_a == opening_b),
        float(("why" in a.words) != ("why" in b.words)),
        float((opening_a == "how") != (opening_b == "how")),
        float((opening_a in YES_NO) != (opening_b in YES_NO)),
        float(PERSONS & set(a.words) == PERSONS & set(b.words)),
        float(bool(SUPERLATIVES & set(a.words)) != bool(SUPERLATIVES & set(b.words))),
        float(a.answer_kinds == b.answer_kinds),
        float(len(a.names & b.names)),
        float(a.numbers.total()),
    ]


def _alignment(
    a: Array, b: Array
) -> tuple[float, tuple[float, float], tuple[float, float], tuple[float, float], float]:
    """Features of the token vectors.

    The cosine of the sums; then for both directions how well tokens are matched, the worst match by weight
    and the sum of the unmatched; then the cosine of the unmatched tokens of both sides.
    """
    sum_a, sum_b = a.sum(axis=0), b.sum(axis=0)
    cosine = float(sum_a @ sum_b / max(1e-6, float(np.linalg.norm(sum_a) * np.linalg.norm(sum_b))))
    weight_a, weight_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    near = (a @ b.T) / np.maximum(1e-6, weight_a[:, None] * weight_b[None, :])
    best_a, best_b = near.max(axis=1), near.max(axis=0)
    gap_a, gap_b = weight_a * (1 - best_a), weight_b * (1 - best_b)
    aligned = (
        float((weight_a * best_a).sum() / max(1e-6, weight_a.sum())),
        float((weight_b * best_b).sum() / max(1e-6, weight_b.sum())),
    )
    scale = float(max(weight_a.mean(), weight_b.mean(), 1e-6))
    rest_a, rest_b = a[best_a < 0.95].sum(axis=0), b[best_b < 0.95].sum(axis=0)
    length = float(np.linalg.norm(rest_a) * np.linalg.norm(rest_b))
    return (
        cosine,
        aligned,
        (float(gap_a.max()) / scale, float(gap_b.max()) / scale),
        (float(gap_a.sum()) / scale, float(gap_b.sum()) / scale),
        float(rest_a @ rest_b) / length if length > 1e-6 else 1.0,
    )


def _question_word(reading: ParsedQuestion) -> str:
    return next((word for word in reading.words if word in WH or word in YES_NO), "")


def _trigrams(text: str) -> Counter[str]:
    plain = f" {' '.join(text.lower().split())} "
    return Counter(plain[at : at + 3] for at in range(len(plain) - 2))


def _bigrams(stems: tuple[str, ...]) -> Counter[str]:
    return Counter(f"{one} {other}" for one, other in zip(("", *stems), (*stems, ""), strict=True))


def _dice(a: Counter[str], b: Counter[str]) -> float:
    return 2 * (a & b).total() / max(1, a.total() + b.total())


def _common_order(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """Share of the longer question in common order (longest common subsequence)."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for at, y in enumerate(b, start=1):
            kept = row[at]
            row[at] = before + 1 if x == y else max(row[at], row[at - 1])
            before = kept
    return row[-1] / max(1, len(a), len(b))
