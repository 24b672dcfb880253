"""RouteLLM's metrics of a router, and folds with near-duplicates in one fold."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_SAME = 0.8


def apgr(scores: Floats, strong: Floats, weak: Floats) -> tuple[float, float]:
    """Return APGR and CPT50 of routing the higher scores to the strong model.

    Cut at the deciles of `scores`; a cut sends what is at or above it to the strong model. APGR is the area
    under accuracy against the share of strong calls, scaled so that weak alone is 0 and strong alone 1; CPT50
    the share of strong calls (0..1) at which half of the gap is closed.
    """
    shares, accuracies = [0.0], [float(weak.mean())]
    for cut in np.quantile(scores, np.linspace(0, 1, 11))[::-1]:
        chosen = scores >= cut
        shares.append(float(chosen.mean()))
        accuracies.append(float(np.where(chosen, strong, weak).mean()))
    gap = float(strong.mean() - weak.mean())
    area = float(np.trapezoid(accuracies, shares))
    half = float(weak.mean()) + gap / 2
    above = next(i for i, accuracy in enumerate(accuracies) if accuracy >= half)
    rise = accuracies[above] - accuracies[above - 1]
    part = (half - accuracies[above - 1]) / rise
    return (area - float(weak.mean())) / gap, shares[above - 1] + part * (shares[above] - shares[above - 1])


def near_copies(texts: list[str]) -> Ints:
    """Return a group number per text; texts that share 80 % of their words are in one group."""
    words = [frozenset(re.findall(r"\w+", text.lower())) for text in texts]
    group = list(range(len(texts)))

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    for i, mine in enumerate(words):
        for j in range(i):
            other = words[j]
            if min(len(mine), len(other)) >= _SAME * max(len(mine), len(other)) and (
                len(mine & other) >= _SAME * len(mine | other)
            ):
                group[root(i)] = root(j)
    return np.unique([root(i) for i in range(len(texts))], return_inverse=True)[1].astype(np.int64)


def folds(groups: Ints, k: int, seed: int) -> Ints:
    """Return a random fold number (0..k-1) per row, equal within a group."""
    count = int(groups.max()) + 1
    of_group = np.empty(count, dtype=np.int64)
    of_group[np.random.default_rng(seed).permutation(count)] = np.arange(count) % k
    chosen: Ints = of_group[groups]
    return chosen


def rank_correlation(a: Floats, b: Floats) -> float:
    """Return Spearman's rank correlation, with ties at their mean rank."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Floats = ends - (counts - 1) / 2
    ranks: Floats = means[inverse]
    return ranks


def area_under_roc(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    ranks = _ranks(scores)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))
