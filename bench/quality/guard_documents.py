"""Harmless documents, and the same documents with an inserted instruction to the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.quality.data import EXEMPLARS, lines, rows
from bench.quality.guard_data import CachedReader, descriptions, embedder, is_korean, pages
from bench.quality.networks import Rows
from gateway.guardrails.reading.heads import Head
from gateway.guardrails.reading.passages import (
    cheap_features,
    encode_passages,
    most_suspicious,
    split_passages,
)

FOLDS = 4
PLACES = ("start", "middle", "end")
_CHUNK = 2_400
_QUESTIONS, _LISTS, _LENGTH = 3000, 80, 8


@dataclass(frozen=True)
class Document:
    kind: str
    text: str
    fold: int


@dataclass(frozen=True)
class Planted:
    """An attack in a document; `source` is the source of the attack."""

    source: str
    category: str
    place: str
    kind: str
    attack: str
    text: str
    fold: int


def documents(data: Path) -> list[Document]:
    """Return the project's pages, lists of related questions, and descriptions of packages."""
    found = [Document("questions", text, i % FOLDS) for i, text in enumerate(_question_lists(data))]
    found += [Document(kind, text, i % FOLDS) for i, (kind, text) in enumerate(pages())]
    for i, text in enumerate(descriptions()):
        for start in (0, _CHUNK):
            chunk = text[start : start + _CHUNK]
            if len(chunk) > _CHUNK // 2:
                found.append(Document("package", chunk, i % FOLDS))
    return found


def _question_lists(data: Path) -> list[str]:
    """Return lists of a question and the most similar ones; no question occurs twice."""
    questions = list(
        dict.fromkeys(row["text_a"] for row in rows(data, "cache/question_pairs.jsonl")[:_QUESTIONS])
    )
    vectors = embedder().embed(questions)
    free = np.ones(len(questions), dtype=bool)
    found = []
    for seed in range(_LISTS):
        first = int(np.flatnonzero(free)[seed % 7])
        order = [int(i) for i in np.argsort(-(vectors @ vectors[first])) if free[i]][:_LENGTH]
        free[order] = False
        found.append("\n".join(f"{n + 1}. {questions[i]}" for n, i in enumerate(order)))
    return found


def planted(data: Path, hosts: list[Document]) -> list[Planted]:
    """Insert each attack at the start, in the middle and at the end of a document of its own fold.

    Folds are drawn for whole categories of BIPIA: no row of a tested category was seen in fitting. Our own
    lines were written by somebody who had seen such rows, and are of much the same kinds.
    """
    attacks = [
        ("BIPIA", row["category"], row["text"]) for row in rows(data, "guard/bipia_train_attacks.jsonl")
    ]
    inside = [line.split("\t", 1) for line in lines(EXEMPLARS / "guard_inside.tsv")]
    attacks += [("ours", category, text) for category, text in inside]
    attacks += [
        ("as a message", str(i), text) for i, text in enumerate(lines(EXEMPLARS / "guard_attacks.txt"))
    ]
    categories = list(dict.fromkeys(category for source, category, _ in attacks if source == "BIPIA"))
    rng = np.random.default_rng(11)
    found = []
    for i, (source, category, text) in enumerate(attacks):
        fold = categories.index(category) % FOLDS if source == "BIPIA" else i % FOLDS
        # The page usually has the language of the attack.
        own = [host for host in hosts if host.fold == fold and is_korean(host.text) == is_korean(text)]
        package = [host.kind == "package" for host in own]
        chance = np.where(package, 0.3 / max(1, sum(package)), 0.7 / max(1, len(own) - sum(package)))
        for place in PLACES:
            host = own[int(rng.choice(len(own), p=chance / chance.sum()))]
            found.append(
                Planted(source, category, place, host.kind, text, plant(host.text, text, place), fold)
            )
    return found


def plant(page: str, attack: str, place: str) -> str:
    if place == "start":
        return f"{attack}\n{page}"
    if place == "end":
        return f"{page}\n{attack}"
    breaks = [i for i, c in enumerate(page) if c == "\n" or page[i : i + 2] == ". "]
    at = min(breaks, key=lambda i: abs(i - len(page) // 2), default=len(page) // 2) + 1
    return f"{page[:at]} {attack} {page[at:]}"


class Passages:
    """The guard's encoding of documents, computed once for all folds."""

    def __init__(self) -> None:
        self._reader = CachedReader()

    def of(self, text: str) -> tuple[list[str], npt.NDArray[np.float32]]:
        found = split_passages(self._reader.encoder.clean(text))
        return found, cheap_features(found, self._reader.embed)

    def closer(
        self, found: list[str], skimmed: npt.NDArray[np.float32], chosen: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:
        return encode_passages(found, skimmed, chosen, self._reader.encoder)

    def guilty(self, found: list[str], attack: str) -> npt.NDArray[np.intp]:
        """Return which passages contain (a large part of) the attack."""
        clean = self._reader.encoder.clean(attack)
        inner = [i for i, text in enumerate(found) if text in clean or clean in text]
        near = [i for i, text in enumerate(found) if len(set(text.split()) & set(clean.split())) >= 5]
        return np.array(inner or near, dtype=np.intp)

    def score(self, text: str, skimmer: Head, closer: Head) -> float:
        """Return the head's highest logit over a document, as the guard computes it."""
        found, skimmed = self.of(text)
        chosen = most_suspicious(skimmer.logits(skimmed))
        return float(closer.logits(self.closer(found, skimmed, chosen)).max())

    def keep(self) -> None:
        self._reader.keep()


# The total training weight of all documents of a family.
_MASSES = {"package": 800.0, "questions": 300.0, "ours": 2000.0}


def _family(kind: str) -> str:
    return kind if kind in _MASSES else "ours"


def passage_rows(
    hosts: list[Document], attacks: list[Planted], prepared: Passages, *, our_attacks: bool = True
) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Return every harmless passage and every attack, and the fold of each text of `Rows`."""
    x, text, weight, fold = [], [], [], []
    label: list[bool] = []

    def add(values: npt.NDArray[np.float32], guilty: bool, mass: float, of: int) -> None:
        x.append(values)
        text.append(np.full(len(values), len(label)))
        label.append(guilty)
        weight.append(mass)
        fold.append(of)

    shares = {kind: sum(_family(host.kind) == kind for host in hosts) for kind in _MASSES}
    for host in hosts:
        found, skimmed = prepared.of(host.text)
        values = prepared.closer(found, skimmed, np.arange(len(found)))
        mass = _MASSES[_family(host.kind)] / shares[_family(host.kind)]
        for row in values:
            add(row[None, :], False, mass / np.sqrt(len(values)), host.fold)
    masses = {"BIPIA": 500.0, "ours": 600.0, "as a message": 500.0}
    counts = {name: sum(one.source == name for one in attacks) for name in masses}
    for one in attacks:
        if one.source != "BIPIA" and not our_attacks:
            continue
        found, skimmed = prepared.of(one.text)
        guilty = prepared.guilty(found, one.attack)
        if len(guilty):
            add(
                prepared.closer(found, skimmed, guilty),
                True,
                masses[one.source] / counts[one.source],
                one.fold,
            )
    prepared.keep()
    rows_ = Rows(np.vstack(x), np.concatenate(text), np.array(label), np.array(weight))
    return rows_, np.array(fold)
