"""Gradient boosting of small trees with logistic loss, on binned columns, with numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gateway.question_match.boosted_trees import BoostedTrees

Floats = npt.NDArray[np.float64]
_BINS = 32


# The parameters after the data are the usual hyperparameters of gradient boosting.
def boost(
    x: npt.NDArray[np.float32],
    y: Floats,
    weights: Floats,
    *,
    trees: int = 300,
    depth: int = 3,
    rate: float = 0.06,
    penalty: float = 20.0,
    seed: int = 0,
) -> BoostedTrees:
    """Fit by Newton steps; each tree sees two thirds of the rows and of the columns.

    Args:
        penalty: added to the curvature of every leaf; large values make timid leaves.
    """
    rng = np.random.default_rng(seed)
    columns = x.shape[1]
    cuts = [np.unique(np.quantile(x[:, c], np.linspace(0, 1, _BINS + 1)[1:-1])) for c in range(columns)]
    binned = np.stack([np.searchsorted(cuts[c], x[:, c], side="left") for c in range(columns)], axis=1)
    start = float(np.log((weights * y).sum() / (weights * (1 - y)).sum()))
    score = np.full(len(y), start)
    inner = 2**depth - 1
    column, cut = np.zeros((trees, inner), np.int32), np.full((trees, inner), np.inf, np.float32)
    leaf = np.zeros((trees, inner + 1), np.float32)
    for tree in range(trees):
        chance = 1 / (1 + np.exp(-score))
        slope, curve = weights * (chance - y), weights * chance * (1 - chance)
        seen = rng.random(len(y)) < 2 / 3
        offered = rng.permutation(columns)[: max(1, 2 * columns // 3)]
        node = np.zeros(len(y), dtype=np.int64)
        for level in range(depth):
            for n in range(2**level - 1, 2 ** (level + 1) - 1):
                rows = np.flatnonzero(seen & (node == n))
                found = _best_cut(binned[rows], slope[rows], curve[rows], offered, penalty)
                if found is not None:
                    column[tree, n], at = found
                    cut[tree, n] = cuts[found[0]][at]
                    here = node == n
                    node[here] = 2 * n + 1 + (binned[here, found[0]] > at)
                else:
                    node[node == n] = 2 * n + 1
        place = node - inner
        down = np.bincount(place[seen], slope[seen], inner + 1)
        bend = np.bincount(place[seen], curve[seen], inner + 1)
        leaf[tree] = -rate * down / (bend + penalty)
        score += leaf[tree][place]
    return BoostedTrees(column, cut, leaf, start)


def _best_cut(
    binned: npt.NDArray[np.int64],
    slope: Floats,
    curve: Floats,
    offered: npt.NDArray[np.int64],
    penalty: float,
) -> tuple[int, int] | None:
    """Return the best column and bin for a split, None if no split helps."""
    if len(slope) < 20:
        return None
    total, bend = slope.sum(), curve.sum()
    best: tuple[float, int, int] = (1e-6 + total**2 / (bend + penalty), -1, -1)
    for c in offered:
        left = np.cumsum(np.bincount(binned[:, c], slope, _BINS + 1))[:-1]
        low = np.cumsum(np.bincount(binned[:, c], curve, _BINS + 1))[:-1]
        gain = left**2 / (low + penalty) + (total - left) ** 2 / (bend - low + penalty)
        at = int(gain.argmax())
        if gain[at] > best[0] and at <= int(binned[:, c].max()):
            best = (float(gain[at]), int(c), at)
    return None if best[1] < 0 else (best[1], best[2])
