"""Local intent classifier: linear heads over text features and a sentence vector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import as_file, files

import numpy as np
import numpy.typing as npt

from gateway.agent.intent.custom import CustomIntents
from gateway.agent.intent.features import FEATURE_NAMES, Features, extract
from gateway.domain.config.intent import IntentConfig
from gateway.domain.intent import INTENTS, Intent
from gateway.providers.local.wordllama import DIMENSIONS, WordLlamaEmbedder

Array = npt.NDArray[np.float32]

LABELS = tuple(label for label in INTENTS if label != "unsafe")
INPUT_COUNT = len(FEATURE_NAMES) + DIMENSIONS
COEFFICIENTS = "coefficients.npz"

UNSAFE_THRESHOLD = 0.7
_NEEDS_THRESHOLD = 0.4


@dataclass(frozen=True, slots=True)
class Heads:
    """Weights over `INPUT_COUNT` values, the bias last in each row.

    The values are the text features, then the sentence vector. `labels` has a row for each of `LABELS`;
    `unsafe`, `everyday` and `exam` are single rows. The last two give the complexity: `exam` for
    multiple-choice questions, `everyday` for all others.
    """

    labels: Array
    unsafe: Array
    everyday: Array
    exam: Array

    def __post_init__(self) -> None:
        shapes = [self.labels.shape, self.unsafe.shape, self.everyday.shape, self.exam.shape]
        if shapes != [
            (len(LABELS), INPUT_COUNT + 1),
            (INPUT_COUNT + 1,),
            (INPUT_COUNT + 1,),
            (INPUT_COUNT + 1,),
        ]:
            raise ValueError(
                "The intent coefficients do not match this code; run bench/quality/fit_intent.py."
            )


class IntentClassifier:
    """Classifies texts in 0.5 ms (short) to 1 ms (long). Thread-safe."""

    def __init__(self, heads: Heads, embedder: WordLlamaEmbedder, config: IntentConfig | None = None) -> None:
        self._everyday = np.vstack([heads.labels, heads.unsafe, heads.everyday])
        self._exam = np.vstack([heads.labels, heads.unsafe, heads.exam])
        self._embedder = embedder
        self._custom = CustomIntents(config.exemplars, embedder) if config and config.exemplars else None
        self._min_similarity = config.likeness if config else 1.0

    @classmethod
    def load(
        cls, embedder: WordLlamaEmbedder | None = None, config: IntentConfig | None = None
    ) -> IntentClassifier:
        """Load the fitted classifier, with the custom intents of `config`.

        Args:
            embedder: a loaded embedder to share.
        """
        with (
            as_file(files("gateway.agent.intent") / COEFFICIENTS) as path,
            np.load(path, allow_pickle=False) as data,
        ):
            heads = Heads(data["labels"], data["unsafe"], data["everyday"], data["exam"])
        return cls(heads, embedder or WordLlamaEmbedder.load(), config)

    def classify(self, text: str) -> Intent:
        """Classify `text`; a long text by its beginning and end."""
        features = extract(text)
        inputs = np.empty(INPUT_COUNT + 1, dtype=np.float32)
        inputs[: len(FEATURE_NAMES)] = features.surface
        inputs[len(FEATURE_NAMES) : INPUT_COUNT] = self._embedder.embed([features.stem])[0]
        inputs[INPUT_COUNT] = 1.0
        outputs = (self._exam if features.is_multiple_choice else self._everyday) @ inputs
        return self._apply_custom(_build_intent(outputs, features), inputs[len(FEATURE_NAMES) : INPUT_COUNT])

    def _apply_custom(self, classified: Intent, vector: Array) -> Intent:
        """Replace the label by a similar custom intent, unless the text is unsafe."""
        if self._custom is None or classified.label == "unsafe":
            return classified
        name, similarity = self._custom.nearest(vector)
        if similarity < self._min_similarity:
            return classified
        return replace(
            classified, label=name, confidence=round(min(similarity, 1.0), 4), classified_by="exemplars"
        )


def _build_intent(outputs: Array, features: Features) -> Intent:
    probabilities = softmax(outputs[: len(LABELS)])
    by_label = dict(zip(LABELS, probabilities.tolist(), strict=True))
    label = max(by_label, key=by_label.__getitem__)
    confidence = by_label[label]
    unsafe = float(1.0 / (1.0 + np.exp(-np.clip(outputs[-2], -30, 30))))
    if unsafe >= UNSAFE_THRESHOLD:
        label, confidence = "unsafe", unsafe
    return Intent(
        label=label,
        complexity=round(float(np.clip(outputs[-1], 0.0, 1.0)), 4),
        needs_tools=features.has_arithmetic or max(by_label["math"], by_label["search"]) >= _NEEDS_THRESHOLD,
        needs_code=features.code_mark_count >= 2 or by_label["code"] >= _NEEDS_THRESHOLD,
        needs_fresh=by_label["search"] >= _NEEDS_THRESHOLD,
        confidence=round(confidence, 4),
    )


def softmax(scores: Array) -> Array:
    shifted: Array = np.exp(scores - scores.max())
    probabilities: Array = shifted / shifted.sum()
    return probabilities
