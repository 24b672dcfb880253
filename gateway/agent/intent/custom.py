"""Custom intents of the configuration, each defined by a few example sentences."""

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

BACKGROUND_TEXTS = "background_texts.txt"
# Share of the mean variance added to each direction, so that directions without variance in the background
# texts get a finite weight.
_SHRINKAGE = 0.3


class CustomIntents:
    """Finds the custom intent that is nearest to a text, in about ten microseconds.

    All sentences share properties such as language and politeness. Directions in which background texts
    differ are scaled down (whitening), so that the remaining similarity is mostly about the subject. The
    similarity is the mean of that to the nearest exemplar and that to the centroid.
    """

    def __init__(self, exemplars: Mapping[str, Sequence[str]], embedder: WordLlamaEmbedder) -> None:
        self._mean, self._whitening = _fit_whitening(embedder)
        # Sentences in two scripts have no useful common centroid.
        groups = [(name, part) for name, texts in exemplars.items() for part in _by_script(texts)]
        parts = [self._whiten(embed_stems(part, embedder)) for _, part in groups]
        self._names = [name for name, _ in groups]
        self._stacked = np.vstack(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
        self._centroids = np.vstack([_normalize(part.mean(axis=0, keepdims=True)) for part in parts])

    def nearest(self, vector: Array) -> tuple[str, float]:
        """The most similar custom intent and its similarity, up to 1.

        Args:
            vector: of the text, normalised, of shape (dimensions,).
        """
        x = self._whiten(vector[None])[0]
        to_exemplars = np.maximum.reduceat(self._stacked @ x, self._starts)
        similarity = 0.5 * to_exemplars + 0.5 * (self._centroids @ x)
        best = int(similarity.argmax())
        return self._names[best], float(similarity[best])

    def _whiten(self, x: Array) -> Array:
        return _normalize((x - self._mean) @ self._whitening)


def _by_script(texts: Sequence[str]) -> list[list[str]]:
    """Split into mostly-ASCII texts and others, without empty groups."""
    plain = [text for text in texts if 2 * len(text.encode("ascii", "ignore")) > len(text)]
    others = [text for text in texts if text not in plain]
    return [part for part in (plain, others) if part]


def embed_stems(texts: list[str], embedder: WordLlamaEmbedder) -> Array:
    """Vectors of the texts' stems, of shape (len(texts), dimensions)."""
    return embedder.embed([extract(text).stem for text in texts])


def _normalize(x: npt.NDArray[Any]) -> Array:
    result: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    return result


def _fit_whitening(embedder: WordLlamaEmbedder) -> tuple[Array, Array]:
    """Mean of the background vectors and their whitening matrix."""
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
    """Everyday questions, English and Korean, from `bench/quality/fit_intent.py`."""
    return list(_read_background_texts())
