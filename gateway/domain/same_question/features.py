"""What speaks for and against two questions being the same one, as numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gateway.domain.same_question.lexicon import (
    KOREAN_HARMLESS,
    OPPOSITES,
    PERSONS,
    PREFIXES,
    STOP,
    SUPERLATIVES,
    TURNING,
    WH,
    YES_NO,
)
from gateway.domain.same_question.reading import Reading
from gateway.domain.same_question.reading import stem as stem_of

Array = npt.NDArray[np.float32]

BUCKETS = 4096
NAMES = (
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

_TENSES = {"은", "는"}
_OPPOSED = frozenset((stem_of(one), stem_of(other)) for one, other in OPPOSITES)


@dataclass(frozen=True, slots=True)
class Seen:
    """A question's reading with its token vectors of shape (tokens, 256), not normalised."""

    text: str
    reading: Reading
    vectors: Array


def bucket(stem: str) -> int:
    """Where a stem's weight stands in the table of `BUCKETS`; the same in every process."""
    value = 2166136261
    for byte in stem.encode("utf-8", "replace"):
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return (value ^ (value >> 15)) % BUCKETS


def left_over(a: Reading, b: Reading) -> tuple[list[str], list[str]]:
    """The stems that only one of the two has, grammar's little words left out."""
    return _only(a, b), _only(b, a)


def alike(a: Reading, b: Reading) -> bool:
    """Whether both say the same word by word: but for case, or in Korean but for particles and politeness."""
    if a.words == b.words:
        return bool(a.words)
    if all(word.isascii() for word in (*a.words, *b.words)):
        return False
    one, other = ([s for s in reading.stems if s not in KOREAN_HARMLESS] for reading in (a, b))
    return one == other and bool(one)


def grammar_left(a: Reading, b: Reading) -> list[str]:
    """Grammar's little words that only one of the two has, marked so that they have weights of their own."""
    mine, theirs = STOP & set(a.words), STOP & set(b.words)
    return sorted(f"={word}" for word in mine ^ theirs)


def _worst_and_sum(values: list[float]) -> tuple[float, float]:
    return max(values, default=0.0), sum(values)


def _only(a: Reading, b: Reading) -> list[str]:
    theirs = Counter(b.stems)
    # "smart phone" and "smartphone" are one.
    whole, joined = set(b.words), {one + other for one, other in pairwise(b.words)}
    parts = {part for pair in pairwise(a.words) if "".join(pair) in whole for part in pair}
    found = []
    for word, stem in zip(a.words, a.stems, strict=True):
        if theirs[stem] > 0:
            theirs[stem] -= 1
        elif word not in STOP and word not in joined and word not in parts:
            found.append(stem)
    return found


def differ(a: Reading, b: Reading) -> str | None:
    """What rules out that both are the same question, None where nothing does.

    Numbers, names, dates and other closed classes of words, negations, what is asked for (who, when, …),
    opposites, and things that have changed places.
    """
    if a.numbers != b.numbers:
        return "number"
    if a.negations % 2 != b.negations % 2:
        return "negation"
    if a.classes != b.classes:
        return "class"
    if a.kinds and b.kinds and not a.kinds & b.kinds:
        return "kind"
    left, right = left_over(a, b)
    if (a.names & set(left)) or (b.names & set(right)):
        return "name"
    if _opposed(a, b):
        return "opposite"
    if _turned(a, b):
        return "order"
    if any(_foreign(stem) for stem in (*left, *right)):
        return "word"
    return None


def _foreign(stem: str) -> bool:
    """A word of a script that the weights know nothing of, and that is not mere politeness."""
    return not stem.isascii() and stem not in KOREAN_HARMLESS and any(c > "\u024f" for c in stem)


def _opposed(a: Reading, b: Reading) -> bool:
    mine_stems, their_stems = set(a.stems) - set(b.stems), set(b.stems) - set(a.stems)
    if any((x, y) in _OPPOSED for x in mine_stems for y in their_stems):
        return True
    return any(
        y == prefix + x or x == prefix + y
        for x in mine_stems
        for y in their_stems
        if x not in STOP and y not in STOP
        for prefix in PREFIXES
    )


def _turned(a: Reading, b: Reading) -> bool:
    """Whether two things stand around "to", "than", … the one way here and the other way there."""
    roles = dict(b.roles)
    if any(roles.get(stem, role) != role for stem, role in a.roles):
        return True
    # Of a noun only one of the two is right: where both are used, they are a verb's tenses.
    if any({x, y} == _TENSES for x, y in _endings(a, b)):
        return True
    theirs = _around(b)
    return any((y, turn, x) in theirs for x, turn, y in _around(a))


def _endings(a: Reading, b: Reading) -> list[tuple[str, str]]:
    """What words of the same stem end with here and there."""
    theirs = dict(zip(b.stems, b.words, strict=True))
    return [
        (word[len(stem) :], theirs[stem][len(stem) :])
        for word, stem in zip(a.words, a.stems, strict=True)
        if theirs.get(stem, word) != word
    ]


def _around(reading: Reading) -> set[tuple[str, str, str]]:
    """(one of the two words of content before, the turning word, the next word of content after)."""
    found: set[tuple[str, str, str]] = set()
    before: list[str] = []
    turns: list[tuple[str, list[str]]] = []
    for word, stem in zip(reading.words, reading.stems, strict=True):
        if word in TURNING:
            turns.append((word, before[-2:]))
        elif word not in STOP or word in ("i", "you", "he", "she", "me"):
            found.update((x, turn, stem) for turn, some in turns for x in some if x != stem)
            turns.clear()
            before.append(stem)
    return found


def features(a: Seen, b: Seen, harm: Array) -> Array:
    """A row in the order of `NAMES`; the same for (a, b) and (b, a).

    Args:
        harm: shape (BUCKETS,), how much a word that only one question has speaks against them.
    """
    left, right = left_over(a.reading, b.reading)
    words_a, words_b = set(a.reading.stems), set(b.reading.stems)
    content_a, content_b = a.reading.content, b.reading.content
    shared = sum((content_a & content_b).values())
    least = max(1, min(len(content_a), len(content_b)))
    harm_left = [float(harm[bucket(stem)]) for stem in left]
    harm_right = [float(harm[bucket(stem)]) for stem in right]
    sums, every = (sum(harm_left), sum(harm_right)), [*harm_left, *harm_right]
    fewer, more = sorted((len(a.reading.words), len(b.reading.words)))
    cosine, aligned, worst, rest, rest_cosine = _alignment(a.vectors, b.vectors)
    opening_a, opening_b = _opening(a.reading), _opening(b.reading)
    little = grammar_left(a.reading, b.reading)
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
            _dice(_grams(a.text), _grams(b.text)),
            _dice(_pairs(a.reading.stems), _pairs(b.reading.stems)),
            _order(a.reading.stems, b.reading.stems),
            fewer / max(1, more),
            fewer,
            *sorted((len(left), len(right))),
            *sorted(sums),
            *_worst_and_sum(every),
            max(every, default=0.0) * (1 - cosine),
            *_worst_and_sum([float(harm[bucket(word)]) for word in little]),
            len(little),
            float(a.reading.words[:2] == b.reading.words[:2]),
            float(a.reading.stems[-1:] == b.reading.stems[-1:]),
            float(opening_a == opening_b),
            float(("why" in a.reading.words) != ("why" in b.reading.words)),
            float((opening_a == "how") != (opening_b == "how")),
            float((opening_a in YES_NO) != (opening_b in YES_NO)),
            float(PERSONS & set(a.reading.words) == PERSONS & set(b.reading.words)),
            float(bool(SUPERLATIVES & set(a.reading.words)) != bool(SUPERLATIVES & set(b.reading.words))),
            float(a.reading.kinds == b.reading.kinds),
            float(len(a.reading.names & b.reading.names)),
            float(a.reading.numbers.total()),
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


def _opening(reading: Reading) -> str:
    return next((word for word in reading.words if word in WH or word in YES_NO), "")


def _grams(text: str) -> Counter[str]:
    plain = f" {' '.join(text.lower().split())} "
    return Counter(plain[at : at + 3] for at in range(len(plain) - 2))


def _pairs(stems: tuple[str, ...]) -> Counter[str]:
    return Counter(f"{one} {other}" for one, other in zip(("", *stems), (*stems, ""), strict=True))


def _dice(a: Counter[str], b: Counter[str]) -> float:
    return 2 * (a & b).total() / max(1, a.total() + b.total())


def _order(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """Share of the longer question that both have in one order (longest common subsequence)."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for at, y in enumerate(b, start=1):
            kept = row[at]
            row[at] = before + 1 if x == y else max(row[at], row[at - 1])
            before = kept
    return row[-1] / max(1, len(a), len(b))
