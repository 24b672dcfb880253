"""Passages of a tool result, and the features by which they are judged."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from gateway.core.unicode_scripts import CJK_SENTENCE_ENDS
from gateway.guardrails.base import EmbedTexts
from gateway.guardrails.reading.encoder import POOLED_SIZE, Encoder
from gateway.guardrails.reading.features import MARKS, VECTOR_SIZE, count_marks

Floats = npt.NDArray[np.float32]

# Sentences, lines, JSON values, table cells, and text between HTML tags.
_BREAK = re.compile(
    rf"(?<=[.!?{CJK_SENTENCE_ENDS}])[\"')\]”»]*\s+"
    r"|\n+|(?<=\":)\s+|\"\s?,\s+\"|\s\|\s|</?\w[^>]{0,200}>"
)
_MIN_CHARACTERS = 12  # characters; headings and names are joined with what follows
_MAX_CHARACTERS = 600
_MAX_PASSAGES = 400
_MAX_ENCODED = 12  # passages that are encoded

CONTEXT_FEATURE_COUNT = 5
CHEAP_FEATURE_COUNT = len(MARKS) + VECTOR_SIZE + CONTEXT_FEATURE_COUNT
PASSAGE_FEATURE_COUNT = CHEAP_FEATURE_COUNT + 2 + POOLED_SIZE


def split_passages(text: str) -> list[str]:
    """Split a cleaned text into passages in reading order, at most `_MAX_PASSAGES`."""
    passages: list[str] = []
    pending = ""
    for piece in _BREAK.split(text):
        pending = f"{pending} {piece.strip()}".strip()
        if len(pending) >= _MIN_CHARACTERS:
            passages += [pending[at : at + _MAX_CHARACTERS] for at in range(0, len(pending), _MAX_CHARACTERS)]
            pending = ""
    if pending:
        passages.append(pending)
    if len(passages) <= _MAX_PASSAGES:
        return passages
    return [passages[i * len(passages) // _MAX_PASSAGES] for i in range(_MAX_PASSAGES)]


def cheap_features(passages: list[str], embed: EmbedTexts) -> Floats:
    """Features that need no encoder, 0.1 ms each.

    Shape (passages, CHEAP_FEATURE_COUNT).
    """
    vectors = embed(passages)
    none = np.zeros((0, VECTOR_SIZE), dtype=np.float32)
    counted = np.stack([count_marks(text, [text], none) for text in passages])
    return np.hstack([counted, vectors, _context(vectors)]).astype(np.float32)


def encode_passages(
    passages: list[str], cheap_rows: Floats, chosen: npt.NDArray[np.intp], encoder: Encoder
) -> Floats:
    """Add the encoder's output for the `chosen` passages, 1 ms each.

    Shape (chosen, PASSAGE_FEATURE_COUNT).
    """
    rows = np.empty((len(chosen), PASSAGE_FEATURE_COUNT), dtype=np.float32)
    for row, index in enumerate(chosen):
        logits, pooled = encoder.read(encoder.passage(passages[index]))
        rows[row] = np.concatenate([cheap_rows[index], logits, pooled])
    return rows


def most_suspicious(scores: Floats) -> npt.NDArray[np.intp]:
    """Indices of the passages to encode, at most `_MAX_ENCODED`."""
    return np.argsort(-scores)[:_MAX_ENCODED]


def _context(vectors: Floats) -> Floats:
    """Features of a passage's place in the document: similarities, position and size."""
    count = len(vectors)
    total = vectors.sum(axis=0)
    others = total - vectors
    length = np.linalg.norm(others, axis=1)
    likeness = (vectors * others).sum(axis=1) / np.maximum(length, 1e-6)
    before = np.zeros(count, dtype=np.float32)
    before[1:] = (vectors[1:] * vectors[:-1]).sum(axis=1)
    after = np.r_[before[1:], np.float32(0.0)]
    place = np.arange(count, dtype=np.float32) / max(1, count - 1)
    unity = np.full(count, likeness.mean(), dtype=np.float32)
    size = np.full(count, np.log1p(count), dtype=np.float32)
    return np.stack([likeness, np.maximum(before, after), place, size, unity], axis=1)
