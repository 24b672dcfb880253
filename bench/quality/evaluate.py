"""Print the quality of the local classifiers: python -m bench.quality.evaluate DATA_DIR."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.quality import guard_rates, intent_quality, question_match
from bench.quality.data import Exemplar, exemplars, inputs
from bench.quality.fit_intent import exam_rows, unsafe_rows
from bench.quality.heads import fit_complexity, fit_labels, fit_unsafe
from bench.quality.linear import with_bias
from bench.quality.metrics import Ints, apgr, area_under_roc, folds, near_copies, rank_correlation
from gateway.agent.intent import IntentClassifier
from gateway.agent.intent.classifier import LABELS, UNSAFE_THRESHOLD
from gateway.providers.local.wordllama import WordLlamaEmbedder

Floats = npt.NDArray[np.float64]
_FOLDS = 5
_REPEATS = 10


def routing(data: Path, ours: list[Exemplar], embedder: WordLlamaEmbedder) -> None:
    prompts, strong, weak = exam_rows(data)
    exam, everyday = inputs(prompts, embedder), inputs([item.text for item in ours], embedder)
    ratings = np.array([item.complexity for item in ours])
    groups = near_copies(prompts)
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float]]] = {"random": [], "prompt length": [], "complexity": []}
    for repeat in range(_REPEATS):
        fold = folds(groups, _FOLDS, repeat)
        scores = np.empty(len(prompts))
        for k in range(_FOLDS):
            train = fold != k
            _, head = fit_complexity(everyday, ratings, exam[train], (strong - weak)[train])
            scores[~train] = with_bias(exam[~train]) @ head
        found["complexity"].append(apgr(scores, strong, weak))
        found["random"].append(apgr(rng.random(len(prompts)), strong, weak))
    found["prompt length"].append(apgr(np.array([float(len(text)) for text in prompts]), strong, weak))
    print(f"\n## Routing, {len(prompts)} prompts, {_REPEATS} x {_FOLDS}-fold, near-duplicates in one fold\n")
    print("| router | APGR | CPT50 % |\n|---|---|---|")
    for name, pairs in found.items():
        area, half = np.mean(pairs, axis=0)
        print(f"| {name} | {area:.3f} ± {np.std([a for a, _ in pairs]):.3f} | {100 * half:.1f} |")
    everyday_complexity(near_copies([item.text for item in ours]), everyday, ratings, exam, strong - weak)


def everyday_complexity(groups: Ints, x: Floats, ratings: Floats, exam: Floats, gain: Floats) -> None:
    correlations, errors = [], []
    for repeat in range(_REPEATS):
        fold = folds(groups, _FOLDS, repeat)
        scores = np.empty(len(x))
        for k in range(_FOLDS):
            train = fold != k
            head, _ = fit_complexity(x[train], ratings[train], exam, gain)
            scores[~train] = np.clip(with_bias(x[~train]) @ head, 0, 1)
        correlations.append(rank_correlation(scores, ratings))
        errors.append(float(np.sqrt(np.mean((scores - ratings) ** 2))))
    print(
        f"\nEveryday prompts, {len(x)} rated by hand: rank correlation {np.mean(correlations):.2f}, "
        f"root mean square error {np.mean(errors):.2f}"
    )


def labels(ours: list[Exemplar], embedder: WordLlamaEmbedder) -> None:
    safe = [item for item in ours if item.label != "unsafe"]
    x = inputs([item.text for item in safe], embedder)
    groups = near_copies([item.text for item in safe])
    truth = np.array([item.label for item in safe])
    korean = np.array([any("가" <= c <= "힣" for c in item.text) for item in safe])
    right = np.zeros((_REPEATS, len(safe)))
    for repeat in range(_REPEATS):
        fold = folds(groups, _FOLDS, repeat)
        for k in range(_FOLDS):
            train = fold != k
            head = fit_labels(x[train], list(truth[train]))
            guess = np.array(LABELS)[(with_bias(x[~train]) @ head.T).argmax(axis=1)]
            right[repeat, ~train] = guess == truth[~train]
    mean = right.mean(axis=0)
    print(
        f"\n## Intents, {len(safe)} exemplars, {_REPEATS} x {_FOLDS}-fold\n\n"
        "| texts | n | right, % |\n|---|---|---|"
    )
    masks = {"all": mean >= 0, "English": ~korean, "Korean": korean}
    masks |= {label: truth == label for label in LABELS}
    for name, mask in masks.items():
        print(f"| {name} | {int(mask.sum())} | {100 * mean[mask].mean():.1f} |")


def unsafe(data: Path, ours: list[Exemplar], embedder: WordLlamaEmbedder) -> None:
    found = unsafe_rows(data, ours)
    x = inputs(found.texts, embedder)
    sources = np.array(found.sources)
    fold = folds(near_copies(found.texts), _FOLDS, 0)
    chance = np.empty(len(x))
    for k in range(_FOLDS):
        chance[fold == k] = _unsafe_chance(x, found.unsafe, found.weights, fold != k)
    print(f"\n## Unsafe requests, {_FOLDS}-fold, near-duplicates in one fold; then a whole source left out\n")
    print(f"Area under ROC {area_under_roc(chance, found.unsafe):.3f}\n")
    print("| source | kind | texts | flagged, % | source left out, % |\n|---|---|---|---|---|")
    for source in dict.fromkeys(found.sources):
        for kind in (True, False):
            rows_of = (sources == source) & (found.unsafe == kind)
            if rows_of.any():
                left_out = _unsafe_chance(x, found.unsafe, found.weights, sources != source)
                apart = left_out[found.unsafe[sources == source] == kind]
                shares = [100 * (part >= UNSAFE_THRESHOLD).mean() for part in (chance[rows_of], apart)]
                print(
                    f"| {source} | {'unsafe' if kind else 'ordinary'} | {int(rows_of.sum())} "
                    f"| {shares[0]:.1f} | {shares[1]:.1f} |"
                )


def _unsafe_chance(
    x: Floats, truth: npt.NDArray[np.bool_], weights: Floats, train: npt.NDArray[np.bool_]
) -> Floats:
    head = fit_unsafe(x[train], truth[train], weights[train])
    chance: Floats = 1 / (1 + np.exp(-with_bias(x[~train]) @ head))
    return chance


def speed() -> None:
    before = resident_megabytes()
    classifier = IntentClassifier.load()
    cost = resident_megabytes() - before
    print("\n## Speed of classify\n\n| text | ms |\n|---|---|")
    for name, text in {
        "30 characters": "What is the capital of France?",
        "30 characters, Korean": "대한민국의 수도는 어디인가요? 자세히 설명해 주세요.",
        "1,000 characters": "The quick brown fox jumps over the lazy dog, 12 + 3 times. " * 17,
        "1,000,000 characters": "The quick brown fox jumps over the lazy dog, 12 + 3 times. " * 17_000,
        "1,000,000 characters, Korean": "한국어 문장입니다. 오늘 날씨가 좋네요. " * 45_000,
    }.items():
        times = []
        for _ in range(200):
            started = time.perf_counter()
            classifier.classify(text)
            times.append(time.perf_counter() - started)
        print(f"| {name} | {1000 * float(np.median(times)):.3f} |")
    print(f"\nResident memory of classifier, tokenizer and touched table pages: {cost:.0f} MB")


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.quality.evaluate DATA_DIR")
    data = Path(sys.argv[1])
    speed()
    ours, embedder = exemplars(), WordLlamaEmbedder.load()
    routing(data, ours, embedder)
    labels(ours, embedder)
    intent_quality.doubt(ours, embedder)
    intent_quality.held_out(IntentClassifier.load(embedder))
    intent_quality.own_intents(data, ours, embedder)
    unsafe(data, ours, embedder)
    guard_rates.report(data)
    question_match.report(data, embedder)


if __name__ == "__main__":
    main()
