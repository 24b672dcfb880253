"""The second look at two questions whose vectors are near: rules that forbid, then fitted trees."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from typing import Protocol

import numpy as np

from gateway.domain.same_question.features import BUCKETS, NAMES, Array, Seen, alike, differ, features
from gateway.domain.same_question.forest import Forest
from gateway.domain.same_question.reading import read

COEFFICIENTS = "coefficients.npz"
# The harm of a word that was never seen to make no difference. One that only one question has may be a name
# that somebody wrote without its capital.
UNKNOWN = 1.09
_HARM_WORST = NAMES.index("harm_worst")
_REMEMBERED = 512


class TokenVectors(Protocol):
    """What a table of token vectors says of a text."""

    def __call__(self, text: str) -> Array:
        """Shape (tokens, dimensions), not normalised: common words are short."""


class SameQuestion:
    """Scores pairs of questions of at most some hundred characters; about 0.2 ms each.

    `threshold` is the score from which on one wrong answer in a hundred questions was measured.
    """

    def __init__(self, forest: Forest, harm: Array, threshold: float, vectors: TokenVectors) -> None:
        if harm.shape != (BUCKETS,) or int(forest.column.max()) >= len(NAMES):
            raise ValueError("The coefficients do not fit this code; run bench/quality/fit_cache.py.")
        self.threshold = threshold
        self._forest = forest
        self._harm = harm
        self._vectors = vectors
        self._see = lru_cache(_REMEMBERED)(self._look)

    @classmethod
    def load(cls, vectors: TokenVectors) -> SameQuestion:
        """The fitted verifier."""
        with (
            as_file(files("gateway.domain.same_question") / COEFFICIENTS) as path,
            np.load(path, allow_pickle=False) as data,
        ):
            forest = Forest(data["column"].astype(np.int32), data["cut"], data["leaf"], float(data["start"]))
            return cls(forest, data["harm"].astype(np.float32), float(data["threshold"]), vectors)

    def score(self, one: str, other: str) -> float:
        """How surely (0..1) both ask the same; 0 where a number, a name, a date or a negation differs."""
        a, b = self._see(one), self._see(other)
        if not len(a.vectors) or not len(b.vectors) or differ(a.reading, b.reading) is not None:
            return 0.0
        if alike(a.reading, b.reading):
            return 1.0
        row = features(a, b, self._harm)
        if row[_HARM_WORST] >= UNKNOWN:
            return 0.0
        odds = float(self._forest.score(row[None, :])[0])
        return 1.0 / (1.0 + float(np.exp(-np.clip(odds, -30, 30))))

    def _look(self, text: str) -> Seen:
        return Seen(text, read(text), self._vectors(text))
