"""How many ordinary texts and how many attacks the injection guard flags."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

from bench.quality.material import EXEMPLARS, exemplars, lines, rows
from gateway.guardrails import injection

# The maker's operating point: sigmoid(logit / 2.41) >= 0.52.
_MAKERS_LOGIT = 2.41 * math.log(0.52 / 0.48)


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


def judge(text: str) -> tuple[bool, bool, float]:
    """Flagged by us; by the main head alone at its maker's threshold; our CPU milliseconds."""
    started = time.process_time()
    score, _ = injection.judge(text)
    cost = 1000 * (time.process_time() - started)
    model = injection.shared_model()
    alone = max((model.logits(ids)[0] for ids in model.windows(text)), default=-math.inf)
    return score >= injection.THRESHOLD, alone >= _MAKERS_LOGIT, cost


def report(data: Path) -> None:
    print("\n## Injection guard\n")
    print(
        "| set | kind | texts | flagged, % | main head alone, % | median CPU ms |\n|---|---|---|---|---|---|"
    )
    shares: dict[str, list[tuple[float, float]]] = {}
    for name, (kind, found) in texts(data).items():
        judged = np.array([judge(text) for text in found], dtype=np.float64)
        ours, alone = (100 * float(judged[:, column].mean()) for column in (0, 1))
        shares.setdefault(kind, []).append((ours, alone))
        print(
            f"| {name} | {kind} | {len(found)} | {ours:.1f} | {alone:.1f} | {np.median(judged[:, 2]):.1f} |"
        )
    for kind in ("benign", "attack"):
        ours, alone = np.mean(shares[kind], axis=0)
        print(f"\nMean over the {kind} sets: {ours:.1f} % (main head alone {alone:.1f} %)")
