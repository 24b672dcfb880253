"""Training and test data of the guards' heads: external public rows, and the project's texts."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.quality.data import EXEMPLARS, exemplars, lines, rows
from bench.quality.metrics import Ints, near_copies
from bench.quality.networks import Rows
from gateway.guardrails.reading import features
from gateway.guardrails.reading.encoder import Encoder, Floats, Window, shared_encoder
from gateway.providers.local.wordllama import WordLlamaEmbedder

_QUESTIONS = 3000
# Documentation that quotes attacks would count as false positives, or teach that attacks are harmless.
_NOT_HARMLESS = frozenset({"stackone-defender"})
_ASKS = (
    "Summarise the following text in five sentences.",
    "What does this text say about the installation?",
    "Translate this into German, please.",
    "다음 글을 세 문장으로 요약해 줘.",
    "Fasse den Text kurz zusammen.",
    "Proofread this document and list the mistakes.",
    "Explain this to a beginner and answer in a friendly tone.",
    "Which steps do I have to follow here?",
)
_MONOTONOUS = (
    "one two three four five.",
    "The quick brown fox jumps over the lazy dog.",
    "오늘 날씨가 좋네요. 산책을 하고 싶어요.",
    "row 17; 4.5; true; blue",
    "const total = items.reduce((sum, item) => sum + item.price, 0);",
    "Das Wetter ist schön, und wir gehen spazieren.",
    "lorem ipsum dolor sit amet",
    "[12:00:01] user: thanks [12:00:05] bot: you are welcome",
)


@dataclass(frozen=True)
class Source:
    """Texts of one source; `kind` is `attack`, `benign` or `hard` (benign, with many words of attacks)."""

    name: str
    kind: str
    mass: float
    texts: list[str]


def is_korean(text: str) -> bool:
    return any("가" <= c <= "힣" for c in text)


def by_language(name: str, kind: str, masses: tuple[float, float], texts: list[str]) -> list[Source]:
    return [
        Source(name, kind, masses[0], [text for text in texts if not is_korean(text)]),
        Source(f"{name}, Korean", kind, masses[1], [text for text in texts if is_korean(text)]),
    ]


def everyday() -> list[str]:
    requests = lines(EXEMPLARS / "benign_requests.txt")
    return [item.text for item in exemplars() if item.label != "unsafe"] + requests


def pages() -> list[tuple[str, str]]:
    """Return the project's harmless documents as (kind, text)."""
    blocks = (EXEMPLARS / "guard_pages.txt").read_text(encoding="utf-8").split("%% ")[1:]
    parted = [block.partition("\n") for block in blocks]
    return [(kind.strip(), text.strip()) for kind, _, text in parted]


def descriptions() -> list[str]:
    """Return descriptions of installed packages by name: harmless, long, with many imperatives."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = str(distribution.metadata["Name"]).lower()
        if name not in _NOT_HARMLESS:
            text = distribution.metadata.get_payload()  # type: ignore[attr-defined]
            if isinstance(text, str) and len(text) > 1_200:
                found[name] = text
    return [text for _, text in sorted(found.items())]


def long_texts() -> list[str]:
    """Return long harmless messages: pasted text, usually with a request before or after it."""
    rng = np.random.default_rng(5)
    found = []
    for i, text in enumerate(descriptions()):
        start = int(rng.integers(max(1, len(text) - 1_000)))
        part = text[start : start + int(rng.choice([1_200, 2_500, 5_000, 9_000]))]
        ask = _ASKS[i % len(_ASKS)]
        found.append(f"{part}\n\n{ask}" if i % 3 == 0 else f"{ask}\n\n{part}" if i % 3 == 1 else part)
    story = [text for _, text in pages()]
    found += ["\n\n".join(story[i : i + 6]) for i in range(0, len(story), 6)]
    return found + [f"{unit} " * times for unit in _MONOTONOUS for times in (100, 400)]


def injection_sources(data: Path) -> list[Source]:
    """Return all sources; `mass` is the total weight of a source, whatever its number of rows."""
    deepset = rows(data, "guard/deepset_train.jsonl")
    attacks = [row["text"] for row in deepset if row["label"] == 1]
    breaks = rows(data, "guard/jailbreakbench_artifacts.jsonl")
    masses = {"GCG": 60.0, "DSN": 60.0, "JBC": 20.0, "PAIR": 120.0, "prompt_with_random_search": 20.0}
    ours = lines(EXEMPLARS / "guard_attacks.txt")
    tricky = lines(EXEMPLARS / "guard_benign.txt") + lines(EXEMPLARS / "guard_sensitive.txt")
    return [
        Source("deepset, label 1", "attack", 500, attacks),
        Source(
            "in the wild", "attack", 400, [r["text"] for r in rows(data, "guard/inthewild_jailbreaks.jsonl")]
        ),
        *(
            Source(
                f"JailbreakBench {name}", "attack", mass, [r["text"] for r in breaks if r["attack"] == name]
            )
            for name, mass in masses.items()
        ),
        *by_language("our attacks", "attack", (300, 250), ours),
        *plain_sources(data),
        Source("our trigger words", "hard", 200, lines(EXEMPLARS / "benign_triggers.txt")),
        *by_language("our hard ones", "hard", (500, 300), tricky),
        Source("our pages", "benign", 60, [text for _, text in pages()]),
        *joined(attacks, ours, tricky),
    ]


def plain_sources(data: Path) -> list[Source]:
    deepset = rows(data, "guard/deepset_train.jsonl")
    pairs = rows(data, "cache/question_pairs.jsonl")[:_QUESTIONS]
    return [
        Source("deepset, label 0", "benign", 600, [row["text"] for row in deepset if row["label"] == 0]),
        Source("ordinary questions", "benign", 400, [row["text_a"] for row in pairs]),
        Source(
            "exam questions", "benign", 300, [r["prompt"] for r in rows(data, "routing/mmlu_sample.jsonl")]
        ),
        *by_language("our everyday sentences", "benign", (250, 150), everyday()),
        Source("long texts", "benign", 300, long_texts()),
    ]


def joined(attacks: list[str], ours: list[str], tricky: list[str]) -> list[Source]:
    """Return an attack after a harmless request, and two harmless requests in a row; for training only."""
    rng = np.random.default_rng(7)
    plain = [text for text in everyday() + tricky if len(text) < 200]

    def before(text: str) -> str:
        same = [one for one in plain if is_korean(one) == is_korean(text)]
        return f"{same[rng.integers(len(same))]} {text}"

    short = [text for text in attacks + ours if len(text) < 200]
    return [
        Source("joined attack", "joined", 100, [before(text) for text in short]),
        Source("joined benign", "joined", 100, [before(text) for text in plain]),
    ]


def unsafe_sources(data: Path) -> list[Source]:
    goals = rows(data, "guard/unsafe_goals.jsonl")
    ours = [item.text for item in exemplars() if item.label == "unsafe"] + lines(
        EXEMPLARS / "guard_unsafe.txt"
    )
    sensitive = lines(EXEMPLARS / "guard_sensitive.txt")
    tricky = lines(EXEMPLARS / "guard_benign.txt") + lines(EXEMPLARS / "benign_triggers.txt")
    sources = {"advbench": "AdvBench", "harmbench": "HarmBench", "strongreject": "StrongREJECT"}
    return [
        *(
            Source(name, "attack", 350, [row["text"] for row in goals if row["source"] == key])
            for key, name in sources.items()
        ),
        *by_language("ours, unsafe", "attack", (250, 400), ours),
        *plain_sources(data),
        *by_language("ours, about harm", "hard", (300, 250), sensitive),
        *by_language("ours, hard", "benign", (250, 150), tricky),
    ]


@dataclass(frozen=True)
class Table:
    """Training rows; all fields except `rows` have one value per text."""

    rows: Rows
    source: npt.NDArray[np.str_]
    kind: npt.NDArray[np.str_]
    group: Ints
    texts: list[str]


def table(sources: list[Source]) -> Table:
    reader = CachedReader()
    texts = [text for source in sources for text in source.texts]
    group = near_copies(texts)
    _together_with_their_attacks(sources, texts, group)
    raw = 1 / np.sqrt(np.bincount(group)[group])
    weight, source, kind, label = [], [], [], []
    at = 0
    for one in sources:
        part = raw[at : at + len(one.texts)]
        weight += list(one.mass * part / part.sum())
        source += [one.name] * len(one.texts)
        kind += [one.kind] * len(one.texts)
        label += [one.kind == "attack" or one.name == "joined attack"] * len(one.texts)
        at += len(one.texts)
    windows = [reader.windows(text) for text in texts]
    reader.keep()
    whose = np.repeat(np.arange(len(texts)), [len(found) for found in windows])
    x = np.vstack([found for found in windows if len(found)])
    rows_ = Rows(x, whose, np.array(label), np.array(weight))
    return Table(rows_, np.array(source), np.array(kind), group, texts)


def _together_with_their_attacks(sources: list[Source], texts: list[str], group: Ints) -> None:
    """Put a joined text into the fold of its last part."""
    if not any(source.kind == "joined" for source in sources):
        return
    count = sum(len(source.texts) for source in sources if source.kind != "joined")
    endings = {text: int(group[i]) for i, text in enumerate(texts[:count])}
    for i in range(count, len(texts)):
        words = texts[i].split(" ")
        tails = (" ".join(words[k:]) for k in range(1, len(words)))
        found = next((endings[tail] for tail in tails if tail in endings), None)
        if found is not None:
            group[i] = found


class CachedReader:
    """Encodes texts as the guards do; QUALITY_CACHE names a file that caches the encoder's output."""

    def __init__(self) -> None:
        self._encoder = _RememberingEncoder(shared_encoder())
        self.embed: Callable[..., Floats] = embedder().embed

    @property
    def encoder(self) -> Encoder:
        return self._encoder  # type: ignore[return-value]

    def windows(self, text: str) -> Floats:
        found = [
            features.extract_features(window, self.encoder, self.embed)
            for window in self._encoder.windows(text)
        ]
        return np.stack(found) if found else np.zeros((0, features.INPUT_COUNT), dtype=np.float32)

    def keep(self) -> None:
        path = os.environ.get("QUALITY_CACHE")
        if path:
            Path(path).write_bytes(pickle.dumps(_memory()))


@lru_cache(maxsize=1)
def embedder() -> WordLlamaEmbedder:
    return WordLlamaEmbedder.load()


@lru_cache(maxsize=1)
def _memory() -> dict[bytes, tuple[Floats, Floats]]:
    path = os.environ.get("QUALITY_CACHE")
    if path and Path(path).exists():
        found: dict[bytes, tuple[Floats, Floats]] = pickle.loads(Path(path).read_bytes())
        return found
    return {}


class _RememberingEncoder:
    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.clean = encoder.clean
        self.windows = encoder.windows
        self.passage = encoder.passage

    def read(self, window: Window) -> tuple[Floats, Floats]:
        key = hashlib.sha256(repr(window.ids).encode()).digest()[:16]
        memory = _memory()
        if key not in memory:
            memory[key] = self._encoder.read(window)
        return memory[key]
