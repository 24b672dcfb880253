"""Compares two similar questions: first by rules, then by fitted trees."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from typing import Protocol

import numpy as np

from gateway.question_match.boosted_trees import BoostedTrees
from gateway.question_match.features import FEATURE_NAMES, WEIGHT_COUNT, Array, EmbeddedQuestion, features
from gateway.question_match.parser import parse
from gateway.question_match.rules import disqualifying_difference, same_words

COEFFICIENTS = "coefficients.npz"
# Weight of a word without evidence that it is insignificant. An unmatched one may be a name written in lower
# case.
UNKNOWN_WORD_WEIGHT = 1.09
_MAX_WEIGHT_COLUMN = FEATURE_NAMES.index("max_weight")
_PARSE_CACHE_SIZE = 512


class TokenVectors(Protocol):
    """Source of token vectors."""

    def __call__(self, text: str) -> Array:
        """Vectors of shape (tokens, dimensions), not normalised: common words are short."""


class QuestionMatcher:
    """Scores pairs of questions of up to some hundred characters; about 0.2 ms each.

    At `threshold`, one wrong answer in a hundred questions was measured.
    """

    def __init__(
        self, trees: BoostedTrees, word_weights: Array, threshold: float, vectors: TokenVectors
    ) -> None:
        if word_weights.shape != (WEIGHT_COUNT,) or int(trees.column.max()) >= len(FEATURE_NAMES):
            raise ValueError(
                "The coefficients do not match this code; run bench/quality/fit_question_match.py."
            )
        self.threshold = threshold
        self._trees = trees
        self._word_weights = word_weights
        self._vectors = vectors
        self._embedded = lru_cache(_PARSE_CACHE_SIZE)(self._parse_and_embed)

    @classmethod
    def load(cls, vectors: TokenVectors) -> QuestionMatcher:
        """Load the fitted matcher."""
        with (
            as_file(files("gateway.question_match") / COEFFICIENTS) as path,
            np.load(path, allow_pickle=False) as data,
        ):
            trees = BoostedTrees(
                data["column"].astype(np.int32), data["cut"], data["leaf"], float(data["start"])
            )
            return cls(trees, data["harm"].astype(np.float32), float(data["threshold"]), vectors)

    def score(self, one: str, other: str) -> float:
        """Probability (0..1) that both ask the same; 0 if a rule excludes it."""
        a, b = self._embedded(one), self._embedded(other)
        if (
            not len(a.vectors)
            or not len(b.vectors)
            or disqualifying_difference(a.parsed, b.parsed) is not None
        ):
            return 0.0
        if same_words(a.parsed, b.parsed):
            return 1.0
        row = features(a, b, self._word_weights)
        if row[_MAX_WEIGHT_COLUMN] >= UNKNOWN_WORD_WEIGHT:
            return 0.0
        odds = float(self._trees.score(row[None, :])[0])
        return 1.0 / (1.0 + float(np.exp(-np.clip(odds, -30, 30))))

    def _parse_and_embed(self, text: str) -> EmbeddedQuestion:
        return EmbeddedQuestion(text, parse(text), self._vectors(text))
