"""Measure the intent classifier beyond the label: held-out sentences, flags, confidence, custom intents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.quality.data import EXEMPLARS, Exemplar, inputs, lines, rows
from bench.quality.heads import fit_labels
from bench.quality.linear import with_bias
from bench.quality.metrics import folds, near_copies
from gateway.agent.intent import IntentClassifier
from gateway.agent.intent.classifier import LABELS, softmax
from gateway.agent.intent.custom import embed_stems
from gateway.domain.config.intent import IntentConfig
from gateway.providers.local.wordllama import WordLlamaEmbedder

Bools = npt.NDArray[np.bool_]

_FOLDS, _REPEATS = 5, 5
_QUESTIONS = 3000
_NEEDS = (("needs_tools", "t"), ("needs_code", "c"), ("needs_fresh", "f"))
# Written after the threshold was chosen on the others.
UNSEEN = ("booking", "invoice")
_CAUGHT = 0.004
_BOUNDS = (0.4, 0.5, 0.55, 0.6, 0.7)


def doubt(ours: list[Exemplar], embedder: WordLlamaEmbedder) -> None:
    """Measure the local classifier's confidence by cross-validation."""
    safe = [item for item in ours if item.label != "unsafe"]
    texts = [item.text for item in safe]
    x, groups = inputs(texts, embedder), near_copies(texts)
    truth = np.array([LABELS.index(item.label) for item in safe])
    sure, right = [], []
    for repeat in range(_REPEATS):
        fold = folds(groups, _FOLDS, repeat)
        for k in range(_FOLDS):
            train = np.flatnonzero(fold != k)
            test = np.flatnonzero(fold == k)
            head = fit_labels(x[train], [safe[at].label for at in train])
            scores = (with_bias(x[test]) @ head.T).astype(np.float32)
            chances = np.array([softmax(row) for row in scores])
            sure += list(chances.max(axis=1))
            right += list(chances.argmax(axis=1) == truth[test])
    confidence, correct = np.array(sure), np.array(right)
    print(f"\n## Confidence, {len(safe)} exemplars, {_REPEATS} x {_FOLDS}-fold\n")
    print("| bound | below it, % | right below, % | right above, % |\n|---|---|---|---|")
    for bound in _BOUNDS:
        below = confidence < bound
        print(f"| {bound} | {_percent(below)} | {_percent(correct[below])} | {_percent(correct[~below])} |")


def held_out(classifier: IntentClassifier) -> None:
    """Measure labels, flags and confidence on sentences that were not used for training."""
    found = [line.split("\t") for line in lines(EXEMPLARS / "held_out.tsv")]
    judged = [classifier.classify(text) for _, _, text in found]
    right = np.array([i.label == label for i, (label, _, _) in zip(judged, found, strict=True)])
    unsure = np.array([i.confidence < IntentConfig().min_confidence for i in judged])
    print(f"\n## Held-out sentences, {len(found)}\n")
    print(
        f"Labels right: {_percent(right)} %. Unsure: {_percent(unsure)} %, of which right "
        f"{_percent(right[unsure])} %; of the others {_percent(right[~unsure])} %.\n"
    )
    print("| flag | texts with it | precision, % | recall, % |\n|---|---|---|---|")
    for name, letter in _NEEDS:
        said = np.array([bool(getattr(i, name)) for i in judged])
        true = np.array([letter in flags for _, flags, _ in found])
        print(f"| {name} | {true.sum()} | {_percent(true[said])} | {_percent(said[true])} |")


@dataclass(frozen=True)
class OwnRow:
    intent: str
    language: str
    kind: str
    text: str


def own_intents(data: Path, ours: list[Exemplar], embedder: WordLlamaEmbedder) -> None:
    """Measure custom intents with five sentences each, configured together, in one language or both."""
    table = [OwnRow(*line.split("\t")) for line in lines(EXEMPLARS / "own_intents.tsv")]
    ordinary = [row["text_a"] for row in rows(data, "cache/question_pairs.jsonl")[:_QUESTIONS]]
    ordinary += [row["text"] for row in rows(data, "guard/deepset_train.jsonl") if row["label"] == 0]
    names = list(dict.fromkeys(row.intent for row in table))
    print(f"\n## Custom intents: {len(names)} of five sentences each, likeness {IntentConfig().likeness}\n")
    print(
        "| intents | configured in | asked | found, % | taken for another own one, % | near misses | "
        f"caught, % | of {len(ordinary)} ordinary texts, % | of {len(ours)} exemplars, % |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for label, chosen in (("seen", [n for n in names if n not in UNSEEN]), ("unseen", list(UNSEEN))):
        for languages in (("en",), ("ko",), ("en", "ko")):
            rows_of = [row for row in table if row.intent in chosen and row.language in languages]
            _own_row(label, languages, rows_of, ordinary, ours, embedder)
    others = [item.text for item in ours if item.label != "search"]
    _plain_cosine([row for row in table if row.intent not in UNSEEN], ordinary, others, embedder)


def _plain_cosine(
    table: list[OwnRow], ordinary: list[str], others: list[str], embedder: WordLlamaEmbedder
) -> None:
    """The trivial baseline: the nearest exemplar's cosine, with the same share of ordinary texts matched."""
    exemplars = [row for row in table if row.kind == "exemplar"]
    asked = [row for row in table if row.kind == "ask"]
    known = embed_stems([row.text for row in exemplars], embedder)

    def likeness(texts: list[str]) -> npt.NDArray[np.float32]:
        return embed_stems(texts, embedder) @ known.T

    cut = float(np.quantile(likeness(ordinary).max(axis=1), 1 - _CAUGHT))
    scores = likeness([row.text for row in asked])
    nearest = [exemplars[at].intent for at in scores.argmax(axis=1)]
    right = np.array([name == row.intent for name, row in zip(nearest, asked, strict=True)])
    hit = scores.max(axis=1) >= cut
    ours = likeness(others).max(axis=1) >= cut
    print(
        "\nPlain cosine to the nearest exemplar, seen intents in both languages, cut where "
        f"{100 * _CAUGHT:.1f} % of the ordinary texts are caught: found {_percent(right & hit)} %, "
        f"taken for another own one {_percent(~right & hit)} %, of our exemplars {_percent(ours)} %."
    )


def _own_row(
    label: str,
    languages: tuple[str, ...],
    table: list[OwnRow],
    ordinary: list[str],
    ours: list[Exemplar],
    embedder: WordLlamaEmbedder,
) -> None:
    exemplars: dict[str, list[str]] = {}
    for row in table:
        if row.kind == "exemplar":
            exemplars.setdefault(row.intent, []).append(row.text)
    classifier = IntentClassifier.load(embedder, IntentConfig.model_validate({"exemplars": exemplars}))

    def taken(texts: list[str]) -> list[str]:
        judged = (classifier.classify(text) for text in texts)
        return [i.label if i.classified_by == "exemplars" else "" for i in judged]

    asked = [row for row in table if row.kind == "ask"]
    got = taken([row.text for row in asked])
    found = np.array([name == row.intent for name, row in zip(got, asked, strict=True)])
    wrong = np.array([name not in ("", row.intent) for name, row in zip(got, asked, strict=True)])
    near = [row.text for row in table if row.kind == "near"]
    # A question about the weather is a correct match if there is an intent for it.
    others = [i.text for i in ours if i.label != "search" or "weather" not in exemplars]
    caught = [_percent(_any(taken(texts))) for texts in (near, ordinary, others)]
    cells = [label, " and ".join(languages), str(len(asked)), _percent(found), _percent(wrong)]
    print(f"| {' | '.join([*cells, str(len(near)), *caught])} |")


def _any(names: list[str]) -> Bools:
    return np.array([bool(name) for name in names])


def _percent(which: Bools) -> str:
    return f"{100 * float(which.mean()):.1f}" if len(which) else "–"
