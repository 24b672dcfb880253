"""Train the verifier of the semantic cache: python -m bench.quality.fit_question_match DATA_DIR."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.quality.boosting import boost
from bench.quality.question_pairs import (
    Floats,
    Ints,
    Pairs,
    Stream,
    at_errors,
    load_pairs,
    load_stream,
    outcome,
)
from gateway.providers.local.wordllama import WordLlamaEmbedder
from gateway.question_match.boosted_trees import BoostedTrees
from gateway.question_match.features import FEATURE_NAMES, WEIGHT_COUNT, Array
from gateway.question_match.matcher import COEFFICIENTS, UNKNOWN_WORD_WEIGHT

TARGET = Path(__file__).parents[2] / "gateway" / "question_match" / COEFFICIENTS
MOST_ERRORS = 0.01
FOLDS = 5
_INNER = 4
_BAGS = 1
_WEIGHT_COLUMNS = [
    FEATURE_NAMES.index(name)
    for name in (
        "weight_less",
        "weight_more",
        "max_weight",
        "total_weight",
        "max_weight_by_distance",
        "grammar_worst",
        "grammar_total",
    )
]

_WORST = FEATURE_NAMES.index("max_weight")


def word_weights_of(pairs: Pairs, chosen: Ints) -> Array:
    """Return log-odds by bucket against a pair with such a word on one side only; rare words count most."""
    same, other = np.zeros(WEIGHT_COUNT), np.zeros(WEIGHT_COUNT)
    for at in chosen:
        every = np.concatenate(pairs.left[at])
        if len(every) and pairs.plain[at, 0] >= 0.8:
            (same if pairs.same[at] else other)[every] += 1 / len(every)
    found: Array = np.log((other + 1.5) / (same + 0.5)).astype(np.float32)
    return found


def rows_of(pairs: Pairs, chosen: Ints, word_weights: Array) -> Array:
    """Return the features of the selected pairs with these word weights."""
    x: Array = pairs.plain[chosen].copy()
    for row, at in enumerate(chosen):
        one, other, little = (word_weights[part].tolist() for part in pairs.left[at])
        sums, every = sorted((sum(one), sum(other))), [*one, *other]
        worst = max(every, default=0.0)
        x[row, _WEIGHT_COLUMNS] = [
            *sums,
            worst,
            sum(every),
            worst * (1 - x[row, 0]),
            max(little, default=0.0),
            sum(little),
        ]
    return x


def fit(pairs: Pairs, chosen: Ints, fold: Ints) -> tuple[BoostedTrees, Array]:
    """Train trees on features whose word weights come from other groups of questions, to avoid overfitting.

    Args:
        fold: of each text a fold number in which its whole group lies.
    """
    inner = fold[pairs.b[chosen]] % _INNER
    x = np.empty((len(chosen), len(FEATURE_NAMES)), dtype=np.float32)
    for k in range(_INNER):
        x[inner == k] = rows_of(pairs, chosen[inner == k], word_weights_of(pairs, chosen[inner != k]))
    bags = [boost(x, pairs.same[chosen], np.ones(len(chosen)), seed=bag) for bag in range(_BAGS)]
    forest = BoostedTrees(
        np.concatenate([bag.column for bag in bags]),
        np.concatenate([bag.cut for bag in bags]),
        (np.concatenate([bag.leaf for bag in bags]) / _BAGS).astype(np.float32),
        bags[0].start,
    )
    return forest, word_weights_of(pairs, chosen)


def folds_of(stream: Stream, count: int, seed: int) -> Ints:
    """Return a random number per text, equal within a group of one meaning."""
    drawn = np.random.default_rng(seed).integers(0, count, len(stream.texts))
    found: Ints = drawn[stream.group]
    return found


def cross_validated(stream: Stream, pairs: Pairs, seed: int = 0) -> Floats:
    """Return scores of all pairs by trees trained without the folds of both texts."""
    fold = folds_of(stream, FOLDS, seed)
    inner = folds_of(stream, _INNER, seed + 1000)
    total, times = np.zeros(len(pairs.a)), np.zeros(len(pairs.a))
    for k in range(FOLDS):
        out = (fold[pairs.a] == k) | (fold[pairs.b] == k)
        forest, word_weights = fit(pairs, np.flatnonzero(~out), inner)
        tried = np.flatnonzero(out)
        x = rows_of(pairs, tried, word_weights)
        total[tried] += np.where(x[:, _WORST] >= UNKNOWN_WORD_WEIGHT, -np.inf, forest.score(x))
        times[tried] += 1
    mean: Floats = total / times
    return mean


def chance(odds: float | Floats) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), dtype=np.float64)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.quality.fit_question_match DATA_DIR")
    data, embedder = Path(sys.argv[1]), WordLlamaEmbedder.load()
    stream = load_stream(data, embedder)
    pairs = load_pairs(data, stream, embedder)
    score, right = outcome(stream, pairs, cross_validated(stream, pairs))
    threshold, hits, wrong = at_errors(score, right, MOST_ERRORS)
    forest, word_weights = fit(pairs, np.arange(len(pairs.a)), folds_of(stream, _INNER, 1000))
    np.savez_compressed(
        TARGET,
        allow_pickle=False,
        column=forest.column.astype(np.int16),
        cut=forest.cut,
        leaf=forest.leaf,
        start=np.float64(forest.start),
        harm=word_weights.astype(np.float16),
        threshold=np.float64(chance(threshold)),
    )
    print(f"wrote {TARGET.name}, {TARGET.stat().st_size / 1024:.0f} KiB")
    print(f"cross-validated: {100 * hits:.2f} % hits, {100 * wrong:.2f} % wrong from {chance(threshold):.3f}")


if __name__ == "__main__":
    main()
