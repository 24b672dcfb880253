"""Train the intent classifier's coefficients: python -m bench.quality.fit_intent DATA_DIR."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.quality.data import EXEMPLARS, Exemplar, exemplars, inputs, lines, ordinary, rows
from bench.quality.heads import fit_complexity, fit_labels, fit_unsafe
from gateway.agent.intent.classifier import COEFFICIENTS
from gateway.agent.intent.custom import BACKGROUND_TEXTS
from gateway.providers.local.wordllama import WordLlamaEmbedder

Floats = npt.NDArray[np.float64]
TARGET = Path(__file__).parents[2] / "gateway" / "agent" / "intent" / COEFFICIENTS
_QUESTIONS = 3000


@dataclass(frozen=True)
class UnsafeRows:
    """Train on all texts by source; ours have more weight, because they are few and include Korean."""

    texts: list[str]
    unsafe: npt.NDArray[np.bool_]
    weights: Floats
    sources: list[str]


def unsafe_rows(data: Path, ours: list[Exemplar]) -> UnsafeRows:
    goals = rows(data, "guard/unsafe_goals.jsonl")
    pairs = rows(data, "cache/question_pairs.jsonl")[:_QUESTIONS]
    plain = [row["text"] for row in rows(data, "guard/deepset_train.jsonl") if row["label"] == 0]
    parts: list[tuple[str, bool, float, list[str]]] = [
        ("ours", True, 10.0, [item.text for item in ours if item.label == "unsafe"]),
        ("ours", False, 5.0, [item.text for item in ours if item.label != "unsafe"]),
        ("ours", False, 5.0, lines(EXEMPLARS / "benign_triggers.txt")),
        ("ours", False, 5.0, lines(EXEMPLARS / "benign_requests.txt")),
        ("questions", False, 1.0, [row["text_a"] for row in pairs]),
        ("deepset", False, 1.0, plain),
        ("exams", False, 1.0, [row["prompt"] for row in rows(data, "routing/mmlu_sample.jsonl")]),
    ]
    parts += [(str(row["source"]), True, 1.0, [row["text"]]) for row in goals]
    return UnsafeRows(
        [text for _, _, _, texts in parts for text in texts],
        np.array([unsafe for _, unsafe, _, texts in parts for _ in texts]),
        np.array([weight for _, _, weight, texts in parts for _ in texts]),
        [source for source, _, _, texts in parts for _ in texts],
    )


def exam_rows(data: Path) -> tuple[list[str], Floats, Floats]:
    """Return prompts, and whether the strong and the weak model answered them correctly."""
    found = rows(data, "routing/mmlu_sample.jsonl")
    strong = np.array([row["strong"] for row in found], dtype=np.float64)
    weak = np.array([row["weak"] for row in found], dtype=np.float64)
    return [row["prompt"] for row in found], strong, weak


def fit(data: Path) -> dict[str, Floats]:
    embedder = WordLlamaEmbedder.load()
    ours = exemplars()
    safe = [item for item in ours if item.label != "unsafe"]
    prompts, strong, weak = exam_rows(data)
    judged = unsafe_rows(data, ours)
    everyday, exam = fit_complexity(
        inputs([item.text for item in ours], embedder),
        np.array([item.complexity for item in ours]),
        inputs(prompts, embedder),
        strong - weak,
    )
    return {
        "labels": fit_labels(inputs([item.text for item in safe], embedder), [item.label for item in safe]),
        "unsafe": fit_unsafe(inputs(judged.texts, embedder), judged.unsafe, judged.weights),
        "everyday": everyday,
        "exam": exam,
    }


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.quality.fit_intent DATA_DIR")
    fitted = {name: weights.astype(np.float32) for name, weights in fit(Path(sys.argv[1])).items()}
    np.savez_compressed(TARGET, allow_pickle=False, **fitted)
    print(f"wrote {TARGET.name}, {TARGET.stat().st_size / 1024:.0f} KiB")
    TARGET.with_name(BACKGROUND_TEXTS).write_text("\n".join(ordinary()) + "\n", encoding="utf-8")
    print(f"wrote {BACKGROUND_TEXTS}")


if __name__ == "__main__":
    main()
