"""Intents of an operator's own, each known by a few sentences that mean it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.agent.intent.features import extract
from gateway.providers.local.wordllama import WordLlamaEmbedder

Array = npt.NDArray[np.float32]

BACKGROUND_TEXTS = "ordinary.txt"
# How much of the average variance is added to each direction's: what ordinary texts never show is not
# trusted without limit.
_SHRINKAGE = 0.3


class CustomIntents:
    """Tells which own intent a text's vector belongs to, in some ten microseconds.

    All sentences share what makes them sentences: their language, politeness, "how do I". Directions in which
    ordinary texts differ count less, so that what is left is mostly what a text is about. How alike a text is
    is the mean of its likeness to the nearest exemplar and to their centre.
    """

    def __init__(self, exemplars: Mapping[str, Sequence[str]], embedder: WordLlamaEmbedder) -> None:
        self._mean, self._whitening = _fit_whitening(embedder)
        # Sentences in two scripts have no centre that either is near to.
        groups = [(name, part) for name, texts in exemplars.items() for part in _by_script(texts)]
        parts = [self._whiten(embed_stems(part, embedder)) for _, part in groups]
        self._names = [name for name, _ in groups]
        self._stacked = np.vstack(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
        self._centroids = np.vstack([_normalize(part.mean(axis=0, keepdims=True)) for part in parts])

    def nearest(self, vector: Array) -> tuple[str, float]:
        """The likeliest of the own intents, and how alike, up to 1.

        Args:
            vector: the text's, of length 1, shape (dimensions,).
        """
        x = self._whiten(vector[None])[0]
        to_exemplars = np.maximum.reduceat(self._stacked @ x, self._starts)
        similarity = 0.5 * to_exemplars + 0.5 * (self._centroids @ x)
        best = int(similarity.argmax())
        return self._names[best], float(similarity[best])

    def _whiten(self, x: Array) -> Array:
        return _normalize((x - self._mean) @ self._whitening)


def _by_script(texts: Sequence[str]) -> list[list[str]]:
    """The sentences in two lists, those mostly in ASCII and the others; none of them empty."""
    plain = [text for text in texts if 2 * len(text.encode("ascii", "ignore")) > len(text)]
    others = [text for text in texts if text not in plain]
    return [part for part in (plain, others) if part]


def embed_stems(texts: list[str], embedder: WordLlamaEmbedder) -> Array:
    """Vectors of the texts' stems, as the classifier takes them; shape (len(texts), dimensions)."""
    return embedder.embed([extract(text).stem for text in texts])


def _normalize(x: npt.NDArray[Any]) -> Array:
    result: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    return result


def _fit_whitening(embedder: WordLlamaEmbedder) -> tuple[Array, Array]:
    """Mean of ordinary texts' vectors, and the matrix that evens out how they vary."""
    background = embed_stems(background_texts(), embedder)
    mean = background.mean(axis=0)
    variance, directions = np.linalg.eigh(np.cov((background - mean).T))
    scale = (np.maximum(variance, 0.0) + _SHRINKAGE * variance.mean()) ** -0.5
    return mean, ((directions * scale) @ directions.T).astype(np.float32)


@cache
def _read_background_texts() -> tuple[str, ...]:
    text = (files("gateway.agent.intent") / BACKGROUND_TEXTS).read_text(encoding="utf-8")
    return tuple(line for line in text.split("\n") if line.strip())


def background_texts() -> list[str]:
    """Everyday questions and requests, English and Korean; `bench/quality/fit_intent.py` writes them."""
    return list(_read_background_texts())
