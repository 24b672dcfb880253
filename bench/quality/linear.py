"""Ridge, softmax and logistic regression with numpy; every row of weights ends with its bias."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS = 600


def with_bias(x: Floats) -> Floats:
    extended: Floats = np.hstack([x, np.ones((len(x), 1))])
    return extended


def ridge(x: Floats, y: Floats, weights: Floats, penalty: Floats) -> Floats:
    """Solve weighted least squares; `penalty` has one value per column of `x`."""
    weighted = (x * weights[:, None]).T
    return np.asarray(np.linalg.solve(weighted @ x + np.diag(penalty), weighted @ y), dtype=np.float64)


def softmax_regression(x: Floats, classes: npt.NDArray[np.int64], count: int, penalty: Floats) -> Floats:
    """Return weights of shape (count, columns), by Nesterov's accelerated gradient."""
    target = np.eye(count)[classes]

    def slope(w: Floats) -> Floats:
        scores = x @ w.T
        chances: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances = chances / chances.sum(axis=1, keepdims=True)
        result: Floats = (chances - target).T @ x + w * penalty
        return result

    step = 1.0 / (0.5 * float(np.linalg.eigvalsh(x.T @ x)[-1]) + float(penalty.max()))
    return _descend(np.zeros((count, x.shape[1])), slope, step)


def logistic_regression(x: Floats, y: Floats, weights: Floats, penalty: Floats) -> Floats:
    """Return weights of shape (columns,) for y in {0, 1}, by Newton's method."""
    w = np.zeros(x.shape[1])
    for _ in range(12):
        chance = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        slope = x.T @ (weights * (chance - y)) + penalty * w
        curve = (x * (weights * chance * (1 - chance) + 1e-9)[:, None]).T @ x + np.diag(penalty)
        w = w - np.linalg.solve(curve, slope)
    return w


def _descend(start: Floats, slope: object, step: float) -> Floats:
    assert callable(slope)
    w = previous = start
    for i in range(_STEPS):
        ahead = w + (i / (i + 3)) * (w - previous)
        previous, w = w, ahead - step * slope(ahead)
    return w
