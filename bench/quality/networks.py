"""Training of small networks with numpy: one hidden layer, dropout, Adam, multiple instances per text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.quality.linear import ridge, with_bias

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_UNITS = 32
_EPOCHS = 60
_BATCH = 256
_RATE = 2e-3
_DECAY = 0.03
_KEEP = 0.7


@dataclass(frozen=True)
class Block:
    """A group of columns: scaled separately (counts) or together (vectors)."""

    columns: int
    weight: float
    alike: bool


@dataclass(frozen=True)
class Rows:
    """Rows of windows: `text` is the text of each row; `label` and `weight` have one value per text."""

    x: Floats
    text: Ints
    label: npt.NDArray[np.bool_]
    weight: npt.NDArray[np.float64]

    def of(self, texts: npt.NDArray[np.bool_]) -> Rows:
        """Return only these texts, renumbered."""
        kept = texts[self.text]
        number = np.cumsum(texts) - 1
        return Rows(self.x[kept], number[self.text[kept]], self.label[texts], self.weight[texts])


def highest(values: Floats, text: Ints, count: int) -> Floats:
    """Return the highest value of each text's windows, -30 for a text without windows."""
    top = np.full(count, -30.0, dtype=np.float32)
    np.maximum.at(top, text, values)
    return top


def fit_head(
    rows: Rows, blocks: tuple[Block, ...], networks: int = 3, units: int = _UNITS
) -> dict[str, Floats]:
    """Train the parts of a `heads.Head` with threshold 0; `networks=0` trains a linear one."""
    centre = rows.x.mean(axis=0)
    scale = scales(rows.x, blocks)
    z = ((rows.x - centre) * scale).astype(np.float32)
    y = rows.label[rows.text].astype(np.float32)
    share = np.bincount(rows.text, minlength=len(rows.label))[rows.text]
    w = rows.weight[rows.text] / np.sqrt(share)
    w = w / w.mean()
    penalty = np.r_[np.full(z.shape[1], 30.0), 1e-3].astype(np.float64)
    linear = ridge(
        with_bias(z.astype(np.float64)), (2.0 * y - 1.0).astype(np.float64), w.astype(np.float64), penalty
    )
    parts = {"centre": centre, "scale": scale, "threshold": np.float32(0.0)}
    if networks == 0:
        parts |= {"hidden": np.zeros(0), "hidden_bias": np.zeros(0)}
        parts |= {"out": 4 * linear[:-1], "out_bias": 4 * linear[-1]}
        return {name: np.asarray(value, dtype=np.float32) for name, value in parts.items()}
    # Of an attack only the window with the highest score counts; of a harmless text all windows count.
    guess = (with_bias(z.astype(np.float64)) @ linear).astype(np.float32)
    chosen = (y == 0) | (guess >= highest(guess, rows.text, len(rows.label))[rows.text])
    fitted = [_network(z[chosen], y[chosen], w[chosen].astype(np.float32), units, n) for n in range(networks)]
    parts |= {
        "hidden": np.hstack([one[0] for one in fitted]),
        "hidden_bias": np.concatenate([one[1] for one in fitted]),
        "out": np.concatenate([one[2] for one in fitted]) / networks,
        "out_bias": np.mean([one[3][0] for one in fitted]),
    }
    return {name: np.asarray(value, dtype=np.float32) for name, value in parts.items()}


def scales(x: Floats, blocks: tuple[Block, ...]) -> Floats:
    factors, start = [], 0
    for block in blocks:
        spread = x[:, start : start + block.columns].std(axis=0)
        if block.alike:
            spread = np.full_like(spread, np.sqrt(np.mean(spread**2)))
        # A count that is constant here must not influence other texts.
        factors.append(np.where(spread > 1e-6, block.weight / np.maximum(spread, 0.05), 0.0))
        start += block.columns
    if start != x.shape[1]:
        raise ValueError(f"The blocks hold {start} columns, the rows {x.shape[1]}.")
    return np.concatenate(factors).astype(np.float32)


def _network(z: Floats, y: Floats, w: Floats, units: int, seed: int) -> list[Floats]:
    """Return weights and biases of the hidden layer and the output."""
    rng = np.random.default_rng(seed)
    columns = z.shape[1]
    drawn = [
        rng.normal(0, 1 / np.sqrt(columns), (columns, units)),
        np.zeros(units),
        rng.normal(0, 1 / np.sqrt(units), units),
        np.zeros(1),
    ]
    params: list[Floats] = [value.astype(np.float32) for value in drawn]
    mean = [np.zeros_like(value) for value in params]
    square = [np.zeros_like(value) for value in params]
    step = 0
    for epoch in range(_EPOCHS):
        rate = _RATE * (1 - epoch / _EPOCHS)
        order = rng.permutation(len(y))
        for at in range(0, len(y), _BATCH):
            batch = order[at : at + _BATCH]
            step += 1
            for k, slope in enumerate(_slopes(params, z[batch], y[batch], w[batch], rng)):
                mean[k] += 0.1 * (slope - mean[k])
                square[k] += 0.001 * (slope**2 - square[k])
                root = np.sqrt(square[k] / (1 - 0.999**step)) + 1e-8
                decay = _DECAY * params[k] if k in (0, 2) else 0.0
                params[k] -= rate * (mean[k] / (1 - 0.9**step) / root + decay)
    return params


def _slopes(params: list[Floats], x: Floats, y: Floats, w: Floats, rng: np.random.Generator) -> list[Floats]:
    hidden, hidden_bias, out, out_bias = params
    x = x * (rng.random(x.shape, dtype=np.float32) < _KEEP) / _KEEP
    active = np.maximum(x @ hidden + hidden_bias, 0.0)
    kept = (rng.random(active.shape, dtype=np.float32) < _KEEP) / np.float32(_KEEP)
    chance = 1 / (1 + np.exp(-np.clip((active * kept) @ out + out_bias, -30, 30)))
    error = w * (chance - y) / len(y)
    back = np.outer(error, out) * kept * (active > 0)
    return [
        x.T @ back,
        back.sum(axis=0),
        (active * kept).T @ error,
        np.array([error.sum()], dtype=np.float32),
    ]
