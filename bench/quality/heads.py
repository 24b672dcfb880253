"""Training of the three heads: each function returns weights for the raw inputs, with the bias last."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.quality.linear import logistic_regression, ridge, softmax_regression, with_bias
from gateway.agent.intent.classifier import LABELS
from gateway.agent.intent.features import FEATURE_NAMES
from gateway.providers.local.wordllama import DIMENSIONS

Floats = npt.NDArray[np.float64]

_SURFACE = len(FEATURE_NAMES)
_FREE = 1e-3
_EXAM_SPREAD = 0.18


class Scale:
    """Scales the surface features to mean 0 and deviation 1; vectors are only centred."""

    def __init__(self, x: Floats) -> None:
        self.mean = x.mean(axis=0)
        self.deviation = np.ones(x.shape[1])
        spread = x[:, :_SURFACE].std(axis=0)
        # A feature that is constant here must not influence other texts.
        self.deviation[:_SURFACE] = np.where(spread > 1e-6, np.maximum(spread, 0.05), 1e9)

    def apply(self, x: Floats) -> Floats:
        scaled: Floats = (x - self.mean) / self.deviation
        return scaled

    def unfold(self, weights: Floats) -> Floats:
        """Convert weights and bias of scaled inputs to weights of raw inputs."""
        raw = weights[..., :-1] / self.deviation
        bias = weights[..., -1] - raw @ self.mean
        result: Floats = np.concatenate([raw, bias[..., None]], axis=-1)
        return result


def penalties(surface: float, vector: float) -> Floats:
    values: Floats = np.r_[np.full(_SURFACE, surface), np.full(DIMENSIONS, vector), _FREE]
    return values


def fit_labels(x: Floats, labels: list[str]) -> Floats:
    """Softmax over `LABELS`; shape (len(LABELS), inputs + 1)."""
    scale = Scale(x)
    classes = np.array([LABELS.index(label) for label in labels])
    weights = softmax_regression(with_bias(scale.apply(x)), classes, len(LABELS), penalties(2.0, 0.15))
    return scale.unfold(weights)


def fit_unsafe(x: Floats, unsafe: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    """Logistic regression; shape (inputs + 1,)."""
    scale = Scale(x)
    # The style of a text identifies its dataset, not its harm: of the surface features only the count of
    # dangerous words is used.
    penalty = penalties(1e7, 1.0)
    penalty[FEATURE_NAMES.index("danger")] = 3.0
    fitted = logistic_regression(with_bias(scale.apply(x)), unsafe.astype(np.float64), weights, penalty)
    return scale.unfold(fitted)


def fit_complexity(everyday: Floats, ratings: Floats, exam: Floats, gain: Floats) -> tuple[Floats, Floats]:
    """Train weights for everyday texts and multiple-choice questions together.

    `ratings` are ours, 0..1; `gain` is strong minus weak, -1..1. Both share what the vectors say, while each
    has weights of its own for the surface. The exam's scores are then stretched around 0.5.
    """
    plain, asked = Scale(everyday), Scale(exam)
    target = 0.5 + 0.2 * (gain - gain.mean())
    x = np.vstack([_parted(plain.apply(everyday), False), _parted(asked.apply(exam), True)])
    penalty = np.r_[
        np.full(_SURFACE, 10.0), np.full(_SURFACE, 1000.0), np.full(DIMENSIONS, 8.0), _FREE, _FREE
    ]
    w = ridge(x, np.r_[ratings, target], np.ones(len(x)), penalty)
    vector = w[2 * _SURFACE : 2 * _SURFACE + DIMENSIONS]
    for_plain = np.r_[w[:_SURFACE], vector, w[-2]]
    for_exam = np.r_[w[_SURFACE : 2 * _SURFACE], vector, w[-1]]
    spread = float((with_bias(asked.apply(exam)) @ for_exam).std())
    for_exam[:-1] *= _EXAM_SPREAD / spread
    for_exam[-1] = 0.5
    return plain.unfold(for_plain), asked.unfold(for_exam)


def _parted(x: Floats, exam: bool) -> Floats:
    """Return the columns: surface features of everyday texts, of exams, the vector, one constant per kind."""
    surface, none = x[:, :_SURFACE], np.zeros((len(x), _SURFACE))
    kind = np.full((len(x), 1), float(exam))
    return np.hstack([none if exam else surface, surface if exam else none, x[:, _SURFACE:], 1 - kind, kind])
