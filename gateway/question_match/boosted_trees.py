"""Gradient boosted trees of equal depth, evaluated with array indexing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """Complete binary trees: node n continues at 2n+1 (value <= cut) or 2n+2.

    `column` and `cut` have shape (trees, 2**depth - 1), `leaf` (trees, 2**depth); `start` is added to the
    sum.
    """

    column: Indices
    cut: Array
    leaf: Array
    start: float

    def score(self, rows: Array) -> npt.NDArray[np.float64]:
        """Log-odds of shape (rows,), for `rows` of shape (rows, columns)."""
        total = np.full(len(rows), self.start)
        inner, depth = self.column.shape[1], self.leaf.shape[1].bit_length() - 1
        trees = np.arange(len(self.column))
        for at, row in enumerate(rows):
            node = np.zeros(len(trees), dtype=np.int64)
            for _ in range(depth):
                node = 2 * node + 1 + (row[self.column[trees, node]] > self.cut[trees, node])
            total[at] += float(self.leaf[trees, node - inner].sum())
        return total
