"""Measure how many harmless texts and attacks the guards flag, with heads not trained on them."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.quality.fit_guard import (
    InDocuments,
    in_documents,
    injection_threshold,
    judged_without,
    out_of_fold,
    unsafe_threshold,
)
from bench.quality.guard_data import Table, embedder, injection_sources, table, unsafe_sources
from bench.quality.guard_documents import PLACES, Passages
from bench.quality.networks import Floats, highest
from gateway.guardrails import injection, unsafe
from gateway.guardrails.reading.features import MARKS, VECTOR_SIZE
from gateway.guardrails.reading.passages import CHEAP_FEATURE_COUNT
from gateway.guardrails.reading.reader import shared_reader

# The vendor's operating point: sigmoid(logit / 2.41) >= 0.52.
_MAKERS_LOGIT = 2.41 * math.log(0.52 / 0.48)
_MAIN = len(MARKS) + 2 * VECTOR_SIZE
_TIMED = 40
# Sources that are excluded together, because one is derived from or similar to the other.
_FAMILIES = ("JailbreakBench", "our attacks", "ours, unsafe", "our hard", "ours, about", "our everyday")
_BIPIA_TASKS = frozenset(
    {
        "Information Retrieval",
        "Content Creation",
        "Learning and Tutoring",
        "Language Translation",
        "Programming Help",
    }
)


def report(data: Path) -> None:
    attacks = table(injection_sources(data))
    logits = out_of_fold(attacks)
    print("\n## Injection guard, messages: held out in four folds; then the whole source left out\n")
    _sources(attacks, logits, injection_threshold(attacks, logits), alone=True)
    requests = table(unsafe_sources(data))
    logits = out_of_fold(requests)
    print("\n## Unsafe requests, as above\n")
    _sources(requests, logits, unsafe_threshold(requests, logits), alone=False)
    found = in_documents(data)
    _documents(found)
    _without_ours(found, in_documents(data, our_attacks=False))
    _speed()


def _sources(found: Table, logits: Floats, cut: float, *, alone: bool) -> None:
    """Print one line per source; the last column excludes its family from the training."""
    main = highest(found.rows.x[:, _MAIN], found.rows.text, len(found.texts))
    words = highest(_keywords(found, alone=alone), found.rows.text, len(found.texts))
    columns = {"flagged": logits >= cut, "words alone": words > 0}
    if alone:
        columns["main head alone"] = main >= _MAKERS_LOGIT
        ours = np.isin(found.kind, ["joined"]) | np.char.startswith(found.source, "our attacks")
        bare = out_of_fold(found, never=ours)
        columns["without our attacks"] = bare >= injection_threshold(found, bare)
    columns["source left out"] = _left_out(found) >= cut
    print("| set | kind | texts | " + " | ".join(f"{name}, %" for name in columns) + " |")
    print("|---|---|---|" + "---|" * len(columns))
    shares: dict[str, list[list[float]]] = {}
    for name in dict.fromkeys(found.source[found.kind != "joined"]):
        mine = found.source == name
        kind = str(found.kind[mine][0])
        values = [100 * float(flags[mine].mean()) for flags in columns.values()]
        shares.setdefault(kind, []).append(values)
        shown = " | ".join(f"{value:.1f}" for value in values)
        print(f"| {name} | {kind} | {int(mine.sum())} | {shown} |")
    for kind, rows in shares.items():
        shown = " | ".join(f"{value:.1f}" for value in np.mean(rows, axis=0))
        print(f"| mean of the {kind} sets | | | {shown} |")


def _keywords(found: Table, *, alone: bool) -> Floats:
    """The trivial guard: typical words of an attack in one sentence."""
    pairs = ("override+rules", "override+all_before", "reveal+hidden", "persona+unbound")
    names = pairs if alone else ("harm+make", "harm+covert")
    result: Floats = found.rows.x[:, [MARKS.index(name) for name in names]].sum(axis=1)
    return result


def _left_out(found: Table) -> Floats:
    """Return each text's logit by a head trained without its family of sources."""
    logits = np.empty(len(found.texts), dtype=np.float32)
    families = np.array([next((f for f in _FAMILIES if name.startswith(f)), name) for name in found.source])
    joined = found.kind == "joined"
    for family in dict.fromkeys(families):
        held = families == family
        logits[held] = judged_without(found, held, also=joined)
    return logits


def _documents(found: InDocuments) -> None:
    cut = found.threshold
    print("\n## Injection guard, tool results: documents and attacks held out, BIPIA by whole categories\n")
    print("| harmless documents | n | flagged, % | main head alone on sentences, % |\n|---|---|---|---|")
    plain = _main_on_passages([host.text for host in found.hosts])
    kinds = np.array(
        [host.kind if host.kind in ("package", "questions") else "our pages" for host in found.hosts]
    )
    for kind in ("our pages", "questions", "package"):
        _line(kind, kinds == kind, found.harmless >= cut, plain)
    print("\n| inserted attack | n | caught, % | main head alone on sentences, % |\n|---|---|---|---|")
    plain = _main_on_passages([one.text for one in found.attacks])
    caught = found.harmful >= cut
    source = np.array([one.source for one in found.attacks])
    category = np.array([one.category for one in found.attacks])
    bipia, task = source == "BIPIA", np.isin(category, list(_BIPIA_TASKS))
    _line("BIPIA", bipia, caught, plain)
    _line("BIPIA, about the answer or code", bipia & ~task, caught, plain)
    _line("BIPIA, ordinary request", bipia & task, caught, plain)
    for kind in dict.fromkeys(category[source == "ours"]):
        _line(f"ours, {kind}", (source == "ours") & (category == kind), caught, plain)
    _line("our attacks on chats", source == "as a message", caught, plain)
    for place in PLACES:
        _line(f"at the {place}", np.array([one.place == place for one in found.attacks]), caught, plain)
    where = np.array([one.kind.partition("-")[0] for one in found.attacks])
    for kind in ("wiki", "news", "search", "email", "table", "json", "code", "readme", "forum", "package"):
        _line(f"in: {kind}", where == kind, caught, plain)


def _without_ours(full: InDocuments, bare: InDocuments) -> None:
    """Measure how much BIPIA's held-out categories depend on our similar lines."""
    bipia = np.array([one.source == "BIPIA" for one in full.attacks])
    task = np.array([one.category in _BIPIA_TASKS for one in full.attacks])
    print("\n| inserted attack | trained on all, % | trained without our attacks, % |\n|---|---|---|")
    for name, mask in {
        "BIPIA": bipia,
        "BIPIA, about the answer or code": bipia & ~task,
        "BIPIA, ordinary request": bipia & task,
        "ours": ~bipia,
    }.items():
        shares = [100 * float((one.harmful[mask] >= one.threshold).mean()) for one in (full, bare)]
        print(f"| {name} | {shares[0]:.1f} | {shares[1]:.1f} |")


def _line(
    name: str, rows: npt.NDArray[np.bool_], ours: npt.NDArray[np.bool_], alone: npt.NDArray[np.bool_]
) -> None:
    if rows.any():
        print(
            f"| {name} | {int(rows.sum())} | {100 * ours[rows].mean():.1f} | {100 * alone[rows].mean():.1f} |"
        )


def _main_on_passages(texts: list[str]) -> npt.NDArray[np.bool_]:
    """The trivial guard of documents: the classifier's main head on each sentence; the maximum counts."""
    prepared = Passages()
    flags = []
    for text in texts:
        found, skimmed = prepared.of(text)
        rows = prepared.closer(found, skimmed, np.arange(len(found)))
        flags.append(rows[:, CHEAP_FEATURE_COUNT].max() >= _MAKERS_LOGIT)
    prepared.keep()
    return np.array(flags)


def _speed() -> None:
    """Measure the CPU time of one check with the shipped head, including the encoding."""
    reader = shared_reader(embedder().embed)
    sentence = "Could you explain the difference between a virus and a bacterium? "
    print("\n## CPU of a check, ms\n\n| text | injection | unsafe | as a tool result |\n|---|---|---|---|")
    for name, text in {
        "one sentence": sentence,
        "one sentence, Korean": "바이러스와 세균의 차이를 쉽게 설명해 줄 수 있어?",
        "three sentences": sentence * 3,
        "1,000 characters": sentence * 15,
        "10,000 characters": sentence * 150,
        "1,000,000 characters": sentence * 15_000,
    }.items():
        times = []
        for judge in (injection.score_message, unsafe.score_message, injection.score_document):
            costs = []
            for _ in range(_TIMED if len(text) < 5_000 else 3):
                started = time.process_time()
                judge(reader, text)
                costs.append(1000 * (time.process_time() - started))
            times.append(float(np.median(costs)))
        print(f"| {name} | " + " | ".join(f"{ms:.1f}" for ms in times) + " |")
