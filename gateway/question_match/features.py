"""Rules and numeric features of a pair of questions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gateway.question_match.lexicon import (
    FUNCTION_WORDS,
    KOREAN_HARMLESS,
    OPPOSITES,
    PERSONS,
    PREFIXES,
    RELATIONAL,
    SUPERLATIVES,
    WH,
    YES_NO,
)
from gateway.question_match.parser import ParsedQuestion
from gateway.question_match.parser import stem as stem_of

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
    "harm_less",
    "harm_more",
    "harm_worst",
    "harm_total",
    "similar_harm",
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

_TENSE_ENDINGS = {"은", "는"}
_OPPOSITE_STEMS = frozenset((stem_of(one), stem_of(other)) for one, other in OPPOSITES)


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


def unmatched_stems(a: ParsedQuestion, b: ParsedQuestion) -> tuple[list[str], list[str]]:
    """Stems that only one of both has, without function words."""
    return _unmatched(a, b), _unmatched(b, a)


def same_words(a: ParsedQuestion, b: ParsedQuestion) -> bool:
    """Whether both have the same words, ignoring case.

    In Korean also ignoring particles and politeness.
    """
    if a.words == b.words:
        return bool(a.words)
    if all(word.isascii() for word in (*a.words, *b.words)):
        return False
    one, other = ([s for s in reading.stems if s not in KOREAN_HARMLESS] for reading in (a, b))
    return one == other and bool(one)


def unmatched_function_words(a: ParsedQuestion, b: ParsedQuestion) -> list[str]:
    """Function words that only one of both has, with a prefix for separate weights."""
    mine, theirs = FUNCTION_WORDS & set(a.words), FUNCTION_WORDS & set(b.words)
    return sorted(f"={word}" for word in mine ^ theirs)


def _worst_and_sum(values: list[float]) -> tuple[float, float]:
    return max(values, default=0.0), sum(values)


def _unmatched(a: ParsedQuestion, b: ParsedQuestion) -> list[str]:
    theirs = Counter(b.stems)
    # "smart phone" and "smartphone" are equal.
    whole, joined = set(b.words), {one + other for one, other in pairwise(b.words)}
    parts = {part for pair in pairwise(a.words) if "".join(pair) in whole for part in pair}
    found = []
    for word, stem in zip(a.words, a.stems, strict=True):
        if theirs[stem] > 0:
            theirs[stem] -= 1
        elif word not in FUNCTION_WORDS and word not in joined and word not in parts:
            found.append(stem)
    return found


def disqualifying_difference(a: ParsedQuestion, b: ParsedQuestion) -> str | None:
    """Why both cannot be the same question; None if no rule applies.

    Rules cover numbers, names, dates and other closed word classes, negations, what is asked for (who, when,
    …), opposites, and exchanged roles.
    """
    if a.numbers != b.numbers:
        return "number"
    if a.negations % 2 != b.negations % 2:
        return "negation"
    if a.classes != b.classes:
        return "class"
    if a.answer_kinds and b.answer_kinds and not a.answer_kinds & b.answer_kinds:
        return "kind"
    left, right = unmatched_stems(a, b)
    if (a.names & set(left)) or (b.names & set(right)):
        return "name"
    if _has_opposites(a, b):
        return "opposite"
    if _has_swapped_roles(a, b):
        return "order"
    if any(_has_unknown_script(stem) for stem in (*left, *right)):
        return "word"
    return None


def _has_unknown_script(stem: str) -> bool:
    """Whether the stem is in a script without weights, and not only politeness."""
    return not stem.isascii() and stem not in KOREAN_HARMLESS and any(c > "\u024f" for c in stem)


def _has_opposites(a: ParsedQuestion, b: ParsedQuestion) -> bool:
    mine_stems, their_stems = set(a.stems) - set(b.stems), set(b.stems) - set(a.stems)
    if any((x, y) in _OPPOSITE_STEMS for x in mine_stems for y in their_stems):
        return True
    return any(
        y == prefix + x or x == prefix + y
        for x in mine_stems
        for y in their_stems
        if x not in FUNCTION_WORDS and y not in FUNCTION_WORDS
        for prefix in PREFIXES
    )


def _has_swapped_roles(a: ParsedQuestion, b: ParsedQuestion) -> bool:
    """Whether two things change places around a word such as "to" or "than"."""
    roles = dict(b.roles)
    if any(roles.get(stem, role) != role for stem, role in a.roles):
        return True
    # A noun takes only one of both endings: if both occur, they are tenses of a verb.
    if any({x, y} == _TENSE_ENDINGS for x, y in _endings(a, b)):
        return True
    theirs = _relations(b)
    return any((y, turn, x) in theirs for x, turn, y in _relations(a))


def _endings(a: ParsedQuestion, b: ParsedQuestion) -> list[tuple[str, str]]:
    """Endings of words with the same stem, in both questions."""
    theirs = dict(zip(b.stems, b.words, strict=True))
    return [
        (word[len(stem) :], theirs[stem][len(stem) :])
        for word, stem in zip(a.words, a.stems, strict=True)
        if theirs.get(stem, word) != word
    ]


def _relations(reading: ParsedQuestion) -> set[tuple[str, str, str]]:
    """(one of two content words before, relational word, next content word)."""
    found: set[tuple[str, str, str]] = set()
    before: list[str] = []
    turns: list[tuple[str, list[str]]] = []
    for word, stem in zip(reading.words, reading.stems, strict=True):
        if word in RELATIONAL:
            turns.append((word, before[-2:]))
        elif word not in FUNCTION_WORDS or word in ("i", "you", "he", "she", "me"):
            found.update((x, turn, stem) for turn, some in turns for x in some if x != stem)
            turns.clear()
            before.append(stem)
    return found


def features(a: EmbeddedQuestion, b: EmbeddedQuestion, word_weights: Array) -> Array:
    """Features in the order of `FEATURE_NAMES`; symmetric in `a` and `b`.

    Args:
        word_weights: shape (WEIGHT_COUNT,), how much an unmatched word speaks against equality.
    """
    unmatched_a, unmatched_b = unmatched_stems(a.parsed, b.parsed)
    words_a, words_b = set(a.parsed.stems), set(b.parsed.stems)
    content_a, content_b = a.parsed.content, b.parsed.content
    shared = sum((content_a & content_b).values())
    least = max(1, min(len(content_a), len(content_b)))
    weights_a = [float(word_weights[weight_index(stem)]) for stem in unmatched_a]
    weights_b = [float(word_weights[weight_index(stem)]) for stem in unmatched_b]
    sums, every = (sum(weights_a), sum(weights_b)), [*weights_a, *weights_b]
    fewer, more = sorted((len(a.parsed.words), len(b.parsed.words)))
    cosine, aligned, worst, rest, rest_cosine = _alignment(a.vectors, b.vectors)
    opening_a, opening_b = _question_word(a.parsed), _question_word(b.parsed)
    function_words = unmatched_function_words(a.parsed, b.parsed)
    return np.array(
        [
            cosine,
            *sorted(aligned),
            *sorted(worst),
            *sorted(rest),
            rest_cosine,
            len(words_a & words_b) / max(1, len(words_a | words_b)),
            shared / max(1, sum((content_a | content_b).values())),
            shared / least,
            _dice(_trigrams(a.text), _trigrams(b.text)),
            _dice(_bigrams(a.parsed.stems), _bigrams(b.parsed.stems)),
            _common_order(a.parsed.stems, b.parsed.stems),
            fewer / max(1, more),
            fewer,
            *sorted((len(unmatched_a), len(unmatched_b))),
            *sorted(sums),
            *_worst_and_sum(every),
            max(every, default=0.0) * (1 - cosine),
            *_worst_and_sum([float(word_weights[weight_index(word)]) for word in function_words]),
            len(function_words),
            float(a.parsed.words[:2] == b.parsed.words[:2]),
            float(a.parsed.stems[-1:] == b.parsed.stems[-1:]),
            float(opening_a == opening_b),
            float(("why" in a.parsed.words) != ("why" in b.parsed.words)),
            float((opening_a == "how") != (opening_b == "how")),
            float((opening_a in YES_NO) != (opening_b in YES_NO)),
            float(PERSONS & set(a.parsed.words) == PERSONS & set(b.parsed.words)),
            float(bool(SUPERLATIVES & set(a.parsed.words)) != bool(SUPERLATIVES & set(b.parsed.words))),
            float(a.parsed.answer_kinds == b.parsed.answer_kinds),
            float(len(a.parsed.names & b.parsed.names)),
            float(a.parsed.numbers.total()),
        ],
        dtype=np.float32,
    )


def _alignment(
    a: Array, b: Array
) -> tuple[float, tuple[float, float], tuple[float, float], tuple[float, float], float]:
    """Cosine of the sums; then both ways: how well tokens find their like, the worst of them by weight, and
    how much is left; and the cosine of what is left on both sides.
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
