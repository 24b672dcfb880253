"""A tool's result, passage by passage: where in a document does somebody speak to the model that reads it?"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from gateway.guardrails.base import Embed
from gateway.guardrails.encoder import WIDTH, Encoder
from gateway.guardrails.features import MARKS, VECTOR, marks

Floats = npt.NDArray[np.float32]

# Sentences, lines, values of JSON, cells of a table, pieces of HTML between tags.
_BREAK = re.compile(r"(?<=[.!?。！？])[\"')\]”»]*\s+|\n+|(?<=\":)\s+|\"\s?,\s+\"|\s\|\s|</?\w[^>]{0,200}>")
_SHORT = 12  # characters; a heading or a name belongs to what follows it
_LONG = 600
_MOST = 400
_CLOSE = 12  # passages that the encoder reads

CONTEXT = 5
SKIMMED = len(MARKS) + VECTOR + CONTEXT
PASSAGE = SKIMMED + 2 + WIDTH


def passages(text: str) -> list[str]:
    """The passages of a cleaned text in reading order, `_MOST` at most, evenly left out beyond that."""
    found: list[str] = []
    held = ""
    for piece in _BREAK.split(text):
        held = f"{held} {piece.strip()}".strip()
        if len(held) >= _SHORT:
            found += [held[at : at + _LONG] for at in range(0, len(held), _LONG)]
            held = ""
    if held:
        found.append(held)
    if len(found) <= _MOST:
        return found
    return [found[i * len(found) // _MOST] for i in range(_MOST)]


def skim(found: list[str], embed: Embed) -> Floats:
    """What is cheap to know of each passage: shape (len(found), `SKIMMED`), a tenth of a millisecond each."""
    vectors = embed(found)
    none = np.zeros((0, VECTOR), dtype=np.float32)
    counted = np.stack([marks(text, [text], none) for text in found])
    return np.hstack([counted, vectors, _context(vectors)]).astype(np.float32)


def look_closer(found: list[str], skimmed: Floats, chosen: npt.NDArray[np.intp], encoder: Encoder) -> Floats:
    """What the encoder adds for the `chosen` passages: shape (len(chosen), `PASSAGE`), a millisecond each."""
    rows = np.empty((len(chosen), PASSAGE), dtype=np.float32)
    for row, at in enumerate(chosen):
        logits, pooled = encoder.read(encoder.passage(found[at]))
        rows[row] = np.concatenate([skimmed[at], logits, pooled])
    return rows


def most_suspicious(chances: Floats) -> npt.NDArray[np.intp]:
    """Which passages are worth the encoder's time, at most `_CLOSE`."""
    return np.argsort(-chances)[:_CLOSE]


def _context(vectors: Floats) -> Floats:
    """How a passage sits in its document: likeness to all others and to neighbours, place, size, unity."""
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
