"""Measure the semantic cache's hits and wrong hits: python -m bench.quality.question_match DATA_DIR."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from bench.quality.data import EXEMPLARS, lines
from bench.quality.fit_question_match import MOST_ERRORS, chance, cross_validated
from bench.quality.question_pairs import at_errors, load_pairs, load_stream, outcome
from gateway.providers.local.wordllama import WordLlamaEmbedder
from gateway.question_match import QuestionMatcher

_REPEATS = 2
# A typical cosine threshold of other caches.
_STATIC = (0.90, 0.95)


def report(data: Path, embedder: WordLlamaEmbedder) -> None:
    stream = load_stream(data, embedder)
    pairs = load_pairs(data, stream, embedder)
    scores = [cross_validated(stream, pairs, seed) for seed in range(_REPEATS)]
    exact = stream.text == stream.text[np.maximum(stream.near[:, 0], 0)]
    again = exact & (stream.near[:, 0] >= 0)
    right = stream.group[stream.text] == stream.group[stream.text[np.maximum(stream.near[:, 0], 0)]]
    right &= stream.near[:, 0] >= 0
    print(f"\n## Semantic cache, a stream of {len(stream.text)} questions\n")
    print("| decided by | threshold | hits, % | wrong, % |\n|---|---|---|---|")
    print(f"| identical text only | | {100 * again.mean():.2f} | 0.00 |")
    print(f"| oracle over the nearest | | {100 * right.mean():.2f} | 0.00 |")
    cosine = np.where(stream.near[:, 0] >= 0, stream.cosine[:, 0].astype(np.float64), -np.inf)
    for cut in _STATIC:
        hit = cosine >= cut
        print(f"| cosine | {cut:.2f} | {100 * hit.mean():.2f} | {100 * (hit & ~right).mean():.2f} |")
    _line("cosine", [at_errors(cosine, right, MOST_ERRORS)])
    ruled = [outcome(stream, pairs, pairs.plain[:, 0].astype(np.float64))]
    _line("rules, then cosine", [at_errors(*found, MOST_ERRORS) for found in ruled])
    for most in (MOST_ERRORS / 2, MOST_ERRORS, 2 * MOST_ERRORS):
        found = [at_errors(*outcome(stream, pairs, score), most) for score in scores]
        _line("rules, then trees", [(float(chance(cut)), hits, wrong) for cut, hits, wrong in found])
    # The exact cache answers repeats; the semantic one is measured on the other questions.
    fresh = [(s[~again], r[~again]) for s, r in (outcome(stream, pairs, score) for score in scores)]
    found = [at_errors(*part, MOST_ERRORS) for part in fresh]
    _line("the same, repeats left out", [(float(chance(cut)), hits, wrong) for cut, hits, wrong in found])
    differences(QuestionMatcher.load(embedder.token_vectors), embedder)


def _line(name: str, found: list[tuple[float, float, float]]) -> None:
    cut, hits, wrong = np.mean(found, axis=0)
    print(f"| {name} | {cut:.3f} | {100 * hits:.2f} | {100 * wrong:.2f} |")


def differences(verifier: QuestionMatcher, embedder: WordLlamaEmbedder) -> None:
    """Test the project's pairs that differ in one significant detail: none may be a hit."""
    found = [json.loads(line) for line in lines(EXEMPLARS / "cache_differences.jsonl")]
    hits, near = Counter[str](), Counter[str]()
    highest, times = 0.0, []
    for row in found:
        a, b = row["text_a"], row["text_b"]
        started = time.perf_counter()
        score = verifier.score(a, b)
        times.append(time.perf_counter() - started)
        highest = max(highest, score)
        hits[row["differs"]] += score >= verifier.threshold
        one, other = embedder.embed([a, b])
        near[row["differs"]] += float(one @ other) >= _STATIC[0]
    print(f"\n### {len(found)} pairs that differ in one detail\n")
    print("| what differs | pairs | hits | cosine alone at 0.90 would hit |\n|---|---|---|---|")
    for name, count in Counter(row["differs"] for row in found).items():
        print(f"| {name} | {count} | {hits[name]} | {near[name]} |")
    print(
        f"\nHighest score {highest:.3f}, threshold {verifier.threshold:.3f}; "
        f"{1000 * float(np.median(times)):.2f} ms a pair of new questions"
    )


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.quality.question_match DATA_DIR")
    report(Path(sys.argv[1]), WordLlamaEmbedder.load())


if __name__ == "__main__":
    main()
