"""Fitted heads: small networks that turn features of a text into a score."""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

COEFFICIENTS = "heads.npz"
NAMES = ("injection", "passage", "skim", "unsafe")
_PARTS = ("centre", "scale", "hidden", "hidden_bias", "out", "out_bias", "threshold")


class Head:
    """Mean of several networks with one hidden layer; flagged above 0.

    `hidden` has shape (inputs, networks x units); `out` weighs the units. A head without hidden units is
    linear: `out` then weighs the inputs.
    """

    def __init__(self, parts: dict[str, Floats]) -> None:
        full: dict[str, Floats] = {name: parts[name].astype(np.float32) for name in _PARTS}
        self._centre, self._scale = full["centre"], full["scale"]
        self._hidden, self._hidden_bias = full["hidden"], full["hidden_bias"]
        self._out, self._out_bias = full["out"], full["out_bias"]
        self._threshold = float(full["threshold"])
        self.inputs = len(self._centre)

    def logits(self, rows: Floats) -> Floats:
        """Scores of shape (texts,) for `rows` (texts, inputs); above 0 is flagged."""
        values: Floats = (rows - self._centre) * self._scale
        if self._hidden.size:
            values = np.maximum(values @ self._hidden + self._hidden_bias, 0.0)
        result: Floats = values @ self._out + self._out_bias - self._threshold
        return result

    def score(self, rows: Floats) -> float:
        """The highest score of `rows` in 0..1, flagged from 0.5; 0.0 without rows."""
        if not len(rows):
            return 0.0
        return 1.0 / (1.0 + math.exp(-min(max(float(self.logits(rows).max()), -30.0), 30.0)))


@lru_cache(maxsize=1)
def load_heads() -> dict[str, Head]:
    """Load all heads by name, once per process.

    Raises:
        ValueError: the file does not match the code and must be fitted again.
    """
    with (
        as_file(files("gateway.guardrails.reading") / COEFFICIENTS) as path,
        np.load(path, allow_pickle=False) as data,
    ):
        missing = [f"{name}_{part}" for name in NAMES for part in _PARTS if f"{name}_{part}" not in data]
        if missing:
            raise ValueError(
                "The coefficients of the guards do not match this code; run bench/quality/fit_guard.py."
            )
        return {name: Head({part: data[f"{name}_{part}"] for part in _PARTS}) for name in NAMES}
