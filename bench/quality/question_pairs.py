"""vCache's stream of questions, and its pairs for training and testing the verifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.quality.data import rows
from gateway.providers.local.wordllama import WordLlamaEmbedder
from gateway.question_match.features import Array, EmbeddedQuestion, features, weight_index
from gateway.question_match.parser import parse
from gateway.question_match.rules import disqualifying_difference, unmatched_function_words, unmatched_stems

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NEAREST = 4
LEAST_SIMILARITY = 0.6


@dataclass(frozen=True)
class Stream:
    """Questions in order; `text` and `group` are the numbers of the text and of its meaning.

    `near` and `cosine` (questions, NEAREST) are the nearest questions asked before, -1 where there is none.
    """

    texts: list[str]
    text: Ints
    group: Ints
    near: Ints
    cosine: Array


@dataclass(frozen=True)
class Pairs:
    """Pairs of different texts that no rule rejects; `left` has the buckets of words on only one side.

    `a` and `b` are numbers of texts, `same` is 1.0 where both ask the same.
    """

    a: Ints
    b: Ints
    same: Floats
    plain: Array
    left: list[tuple[Ints, Ints, Ints]]


def load_stream(data: Path, embedder: WordLlamaEmbedder) -> Stream:
    """Return the two texts of each row in order; texts labelled the same are in one group."""
    found = rows(data, "cache/question_pairs.jsonl")
    numbers: dict[str, int] = {}
    for row in found:
        for name in ("text_a", "text_b"):
            numbers.setdefault(row[name], len(numbers))
    parent = list(range(len(numbers)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for row in found:
        if row["label"]:
            parent[root(numbers[row["text_a"]])] = root(numbers[row["text_b"]])
    texts = list(numbers)
    text = np.array([numbers[row[name]] for row in found for name in ("text_a", "text_b")], dtype=np.int64)
    group = np.array([root(int(i)) for i in range(len(texts))], dtype=np.int64)
    near, cosine = _nearest(embedder.embed(texts)[text])
    return Stream(texts, text, group, near, cosine)


def _nearest(vectors: Array, block: int = 500) -> tuple[Ints, Array]:
    near = np.full((len(vectors), NEAREST), -1, dtype=np.int64)
    cosine = np.full((len(vectors), NEAREST), -1, dtype=np.float32)
    for start in range(0, len(vectors), block):
        part = vectors[start : start + block] @ vectors[: start + block].T
        part[:, start:][np.triu_indices(len(part), k=0, m=part.shape[1] - start)] = -1
        best = np.argsort(-part, axis=1, kind="stable")[:, :NEAREST]
        near[start : start + block, : best.shape[1]] = best
        cosine[start : start + block, : best.shape[1]] = np.take_along_axis(part, best, axis=1)
    near[cosine < LEAST_SIMILARITY] = -1
    return near, cosine


def load_pairs(data: Path, stream: Stream, embedder: WordLlamaEmbedder) -> Pairs:
    """Return the rows, and the pairs that the stream compares."""
    chosen: dict[tuple[int, int], None] = {}
    for at, row in enumerate(stream.near):
        for earlier in row:
            if earlier >= 0:
                chosen[_pair(int(stream.text[at]), int(stream.text[earlier]))] = None
    for at in range(0, len(stream.text), 2):
        chosen[_pair(int(stream.text[at]), int(stream.text[at + 1]))] = None
    seen = [EmbeddedQuestion(text, parse(text), embedder.token_vectors(text)) for text in stream.texts]
    flat = np.zeros(1 << 12, dtype=np.float32)
    kept, plain, left = [], [], []
    for a, b in chosen:
        one, other = seen[a], seen[b]
        if a == b or not len(one.vectors) or not len(other.vectors):
            continue
        if disqualifying_difference(one.parsed, other.parsed) is None:
            kept.append((a, b))
            plain.append(features(one, other, flat))
            mine, theirs = unmatched_stems(one.parsed, other.parsed)
            little = unmatched_function_words(one.parsed, other.parsed)
            left.append((_buckets(mine), _buckets(theirs), _buckets(little)))
    a, b = np.array(kept, dtype=np.int64).T
    return Pairs(a, b, (stream.group[a] == stream.group[b]).astype(np.float64), np.stack(plain), left)


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _buckets(stems: list[str]) -> Ints:
    return np.array([weight_index(stem) for stem in stems], dtype=np.int64)


def outcome(stream: Stream, pairs: Pairs, scores: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return for each question the score of its nearest one and whether a hit would be correct.

    The same text again scores +inf, no neighbour or a forbidden one -inf.
    """
    table = {(int(a), int(b)): float(s) for a, b, s in zip(pairs.a, pairs.b, scores, strict=True)}
    score = np.full(len(stream.text), -np.inf)
    right = np.zeros(len(stream.text), dtype=bool)
    for at, earlier in enumerate(stream.near[:, 0]):
        if earlier >= 0:
            one, other = int(stream.text[at]), int(stream.text[earlier])
            score[at] = np.inf if one == other else table.get(_pair(one, other), -np.inf)
            right[at] = stream.group[one] == stream.group[other]
    return score, right


def at_errors(score: Floats, right: npt.NDArray[np.bool_], most: float) -> tuple[float, float, float]:
    """Return (threshold, share of hits, share of wrong hits) with at most `most` wrong hits."""
    order = np.argsort(-score, kind="stable")
    order = order[np.isfinite(score[order]) | (score[order] > 0)]
    wrong = np.cumsum(~right[order]) / len(score)
    last = max(0, int(np.searchsorted(wrong, most, side="right")) - 1)
    return float(score[order[last]]), (last + 1) / len(score), float(wrong[last])
