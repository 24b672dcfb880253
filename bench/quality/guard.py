"""How many ordinary texts and how many attacks the injection guard flags."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.quality.material import EXEMPLARS, exemplars, lines, rows
from gateway.guardrails import injection


def texts(data: Path) -> dict[str, tuple[str, list[str]]]:
    """Each set's name: (`benign`, `attack` or `other`, its texts)."""
    deepset = rows(data, "guard/deepset_train.jsonl")
    breaks = rows(data, "guard/jailbreakbench_artifacts.jsonl")
    pairs = rows(data, "cache/question_pairs.jsonl")[:2000]
    sets = {
        "deepset, label 0": ("benign", [row["text"] for row in deepset if row["label"] == 0]),
        "ordinary questions": ("benign", [row["text_a"] for row in pairs]),
        "exam questions": ("benign", [row["prompt"] for row in rows(data, "routing/mmlu_sample.jsonl")[::3]]),
        "our everyday sentences": ("benign", [item.text for item in exemplars() if item.label != "unsafe"]),
        "our trigger words": ("benign", lines(EXEMPLARS / "benign_triggers.txt")),
        "deepset, label 1": ("attack", [row["text"] for row in deepset if row["label"] == 1]),
        "in the wild": ("attack", [row["text"] for row in rows(data, "guard/inthewild_jailbreaks.jsonl")]),
    }
    for kind in sorted({row["attack"] for row in breaks}):
        found = [row["text"] for row in breaks if row["attack"] == kind]
        sets[f"JailbreakBench {kind}"] = ("attack", found)
    goals = rows(data, "guard/unsafe_goals.jsonl")
    inside = rows(data, "guard/bipia_train_attacks.jsonl")
    sets["harmful requests, plainly put"] = ("other", [row["text"] for row in goals])
    sets["BIPIA, as a user's message"] = ("other", [row["text"] for row in inside])
    return sets


def report(data: Path) -> None:
    print(
        "\n## Injection guard (flagged, %)\n\n"
        "| set | kind | texts | flagged | median ms |\n|---|---|---|---|---|"
    )
    shares: dict[str, list[float]] = {}
    for name, (kind, found) in texts(data).items():
        judged = [injection.judge(text) for text in found]
        share = 100 * float(np.mean([score >= injection.THRESHOLD for score, _ in judged]))
        shares.setdefault(kind, []).append(share)
        middle = float(np.median([ms for _, ms in judged]))
        print(f"| {name} | {kind} | {len(found)} | {share:.1f} | {middle:.1f} |")
    for kind in ("benign", "attack"):
        print(f"\nMean over the {kind} sets: {np.mean(shares[kind]):.1f} %")
