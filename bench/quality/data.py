"""Training data of the heads: the project's exemplars, and rows of external public datasets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.agent.intent.classifier import INPUT_COUNT
from gateway.agent.intent.features import FEATURE_NAMES, extract
from gateway.providers.local.wordllama import WordLlamaEmbedder

Floats = npt.NDArray[np.float64]
EXEMPLARS = Path(__file__).parent / "exemplars"

_CODE = """
def settle(ledger, key, amount):
    row = ledger.get(key)
    if row is None or row["reserved"] < amount:
        raise ValueError("nothing is reserved")
    row["reserved"] -= amount
    row["used"] += amount
    return {"left": row["limit"] - row["used"]}

class Cache:
    def __init__(self, size):
        self.items = {}
        self.size = size
"""
_LINES = "const total = items.reduce((sum, item) => sum + item.price, 0);\nreturn { total };\n"
_PROSE = (
    "The harbour was quiet that winter, and the boats stayed on their moorings for weeks. People spoke of "
    "the price of diesel, of the new ferry, and of the school that might close in spring. "
)
# Long generated questions: (label, complexity, request, filler, repetitions).
_LONG = (
    ("code", 0.75, "Review this code for bugs and security problems and suggest a better design.", _CODE, 8),
    ("code", 0.70, "Refactor the following module, keep its behaviour and explain every change.", _CODE, 4),
    ("code", 0.80, "Find the race condition in this code and prove that your fix is correct.", _CODE, 6),
    ("code", 0.72, "Please review this code:", _LINES, 40),
    ("code", 0.72, "Can you do a thorough code review of my pull request?", _LINES, 80),
    ("code", 0.55, "Add type hints and docstrings to this file.", _CODE, 5),
    ("code", 0.50, "이 코드를 설명하고 버그를 고쳐줘", _CODE, 2),
    ("code", 0.75, "이 코드를 검토하고 보안 문제와 더 나은 설계를 제안해 줘", _CODE, 8),
    ("transform", 0.40, "Summarise the following text in five sentences.", _PROSE, 12),
    ("transform", 0.45, "Translate the following text into Korean.", _PROSE, 10),
    ("transform", 0.35, "다음 글을 세 문장으로 요약해 줘.", _PROSE, 10),
    ("question", 0.50, "What does this text say about the school?", _PROSE, 15),
    ("transform", 0.50, "Summarise this report and list open questions.", _PROSE, 60),
)


@dataclass(frozen=True, slots=True)
class Exemplar:
    label: str
    complexity: float
    text: str


def short_exemplars() -> list[Exemplar]:
    """Return the project's sentences, rated by hand."""
    rows = [line.split("\t") for line in lines(EXEMPLARS / "intents.tsv")]
    return [Exemplar(label, float(complexity), text) for label, complexity, text in rows]


def ordinary() -> list[str]:
    """Return background texts for custom intents: our sentences, and polite everyday requests."""
    return [item.text for item in short_exemplars()] + lines(EXEMPLARS / "ordinary.txt")


def exemplars() -> list[Exemplar]:
    """Return the project's sentences and a few long, composed ones."""
    return short_exemplars() + [
        Exemplar(label, complexity, f"{ask}\n\n{filler * times}")
        for label, complexity, ask, filler, times in _LONG
    ]


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def rows(data: Path, name: str) -> list[dict[str, Any]]:
    """Read the rows of a public dataset."""
    return [json.loads(line) for line in lines(data / name)]


def inputs(texts: list[str], embedder: WordLlamaEmbedder) -> Floats:
    """Return the classifier's inputs, one row per text."""
    found = [extract(text) for text in texts]
    matrix = np.empty((len(texts), INPUT_COUNT))
    matrix[:, : len(FEATURE_NAMES)] = [item.surface for item in found]
    matrix[:, len(FEATURE_NAMES) :] = embedder.embed([item.stem for item in found])
    return matrix
