"""Train the guards' heads and choose their thresholds: python -m bench.quality.fit_guard DATA_DIR."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.quality.guard_data import Table, injection_sources, table, unsafe_sources
from bench.quality.guard_documents import (
    FOLDS,
    Document,
    Passages,
    Planted,
    documents,
    passage_rows,
    planted,
)
from bench.quality.metrics import folds
from bench.quality.networks import Block, Floats, Rows, fit_head, highest
from gateway.guardrails.reading.encoder import POOLED_SIZE
from gateway.guardrails.reading.features import LOGIT_COUNT, MARKS, VECTOR_SIZE
from gateway.guardrails.reading.heads import COEFFICIENTS, Head
from gateway.guardrails.reading.passages import CHEAP_FEATURE_COUNT, CONTEXT_FEATURE_COUNT

TARGET = Path(__file__).parents[2] / "gateway" / "guardrails" / "reading" / COEFFICIENTS

_VECTOR, _LOGIT = 0.63, 2.8
WINDOW_BLOCKS = (
    Block(len(MARKS), 1.0, False),
    Block(2 * VECTOR_SIZE, _VECTOR, True),
    Block(LOGIT_COUNT, _LOGIT, False),
    Block(2 * POOLED_SIZE, _VECTOR, True),
)
SKIM_BLOCKS = (
    Block(len(MARKS), 1.0, False),
    Block(VECTOR_SIZE, _VECTOR, True),
    Block(CONTEXT_FEATURE_COUNT, 1.0, False),
)
PASSAGE_BLOCKS = (*SKIM_BLOCKS, Block(2, _LOGIT, False), Block(POOLED_SIZE, _VECTOR, True))

# The accepted share of flagged held-out harmless data: texts with an attack's words; all texts; documents.
_HARD = 0.06
_ORDINARY = 0.02
_DOCUMENTS = 0.05


def out_of_fold(found: Table, never: npt.NDArray[np.bool_] | None = None) -> Floats:
    """Return each text's logit by a head trained without it, its near-duplicates and the texts of `never`."""
    fold = folds(found.group, FOLDS, 0)
    logits = np.empty(len(found.texts), dtype=np.float32)
    for k in range(FOLDS):
        logits[fold == k] = judged_without(found, fold == k, also=never)
    return logits


def judged_without(
    found: Table, held: npt.NDArray[np.bool_], also: npt.NDArray[np.bool_] | None = None
) -> Floats:
    """Return the logits of the texts `held` by a head trained on the others, except `also`."""
    left = ~held if also is None else ~(held | also)
    head = Head(fit_head(found.rows.of(left), WINDOW_BLOCKS))
    mine = found.rows.of(held)
    return highest(head.logits(mine.x), mine.text, int(held.sum()))


def threshold(found: Table, logits: Floats, kinds: tuple[str, ...], share: float) -> float:
    """Return the lowest threshold with at most `share` flagged, as the mean over sources of these kinds."""
    names = dict.fromkeys(found.source[np.isin(found.kind, kinds)])
    parts = [logits[found.source == name] for name in names]
    grid = np.linspace(-8, 8, 801)
    flagged = np.array([np.mean([(part >= cut).mean() for part in parts]) for cut in grid])
    return float(grid[int(np.argmax(flagged <= share))])


def injection_threshold(found: Table, logits: Floats) -> float:
    return threshold(found, logits, ("hard",), _HARD)


def unsafe_threshold(found: Table, logits: Floats) -> float:
    return threshold(found, logits, ("hard", "benign"), _ORDINARY)


@dataclass(frozen=True)
class InDocuments:
    """Return out-of-fold logits of harmless documents and of documents with an inserted attack."""

    hosts: list[Document]
    attacks: list[Planted]
    rows: Rows
    harmless: Floats
    harmful: Floats

    @property
    def threshold(self) -> float:
        return float(np.quantile(self.harmless, 1 - _DOCUMENTS))


def in_documents(data: Path, *, our_attacks: bool = True) -> InDocuments:
    """Run four folds; without `our_attacks` the heads train only on BIPIA's rows, but are tested on ours."""
    prepared, hosts = Passages(), documents(data)
    attacks = planted(data, hosts)
    rows, fold = passage_rows(hosts, attacks, prepared, our_attacks=our_attacks)
    harmless, harmful = np.zeros(len(hosts), dtype=np.float32), np.zeros(len(attacks), dtype=np.float32)
    for k in range(FOLDS):
        skimmer, closer = passage_heads(rows.of(fold != k))
        heads = Head(skimmer), Head(closer)
        for i in (i for i, one in enumerate(hosts) if one.fold == k):
            harmless[i] = prepared.score(hosts[i].text, *heads)
        for i in (i for i, one in enumerate(attacks) if one.fold == k):
            harmful[i] = prepared.score(attacks[i].text, *heads)
    prepared.keep()
    return InDocuments(hosts, attacks, rows, harmless, harmful)


def passage_heads(rows: Rows) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Train the head that selects suspicious passages and the one that judges them."""
    skimmed = Rows(rows.x[:, :CHEAP_FEATURE_COUNT], rows.text, rows.label, rows.weight)
    return fit_head(skimmed, SKIM_BLOCKS, networks=0), fit_head(rows, PASSAGE_BLOCKS)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.quality.fit_guard DATA_DIR")
    data = Path(sys.argv[1])
    parts: dict[str, npt.NDArray[np.floating]] = {}

    def keep(name: str, head: dict[str, Floats], cut: float) -> None:
        for part, value in head.items():
            small = value.astype(np.float16) if part in ("hidden", "out") else value
            parts[f"{name}_{part}"] = np.asarray(cut, dtype=np.float32) if part == "threshold" else small

    injection = table(injection_sources(data))
    keep(
        "injection",
        fit_head(injection.rows, WINDOW_BLOCKS),
        injection_threshold(injection, out_of_fold(injection)),
    )
    unsafe = table(unsafe_sources(data))
    keep("unsafe", fit_head(unsafe.rows, WINDOW_BLOCKS), unsafe_threshold(unsafe, out_of_fold(unsafe)))
    inside = in_documents(data)
    skimmer, closer = passage_heads(inside.rows)
    keep("skim", skimmer, 0.0)
    keep("passage", closer, inside.threshold)
    np.savez_compressed(TARGET, allow_pickle=False, **parts)
    cuts = {name: round(float(value), 2) for name, value in parts.items() if name.endswith("threshold")}
    print(f"wrote {TARGET.name}, {TARGET.stat().st_size / 1024:.0f} KiB, {cuts}")


if __name__ == "__main__":
    main()
