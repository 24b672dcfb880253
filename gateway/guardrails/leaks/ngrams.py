"""N-grams of a text as hashes, compared with those of another text in linear time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Found = npt.NDArray[np.bool_]

# An odd factor, as in Knuth's multiplicative hashing; products wrap at 64 bits.
_BASE = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xD6E8FEB86659FD93)
_WRAP = 2**64


def ngram_hashes(text: str, width: int) -> Hashes:
    """Hash of each n-gram of `width` characters, in order; empty for a shorter text."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if len(codes) < width:
        return codes[:0]
    codes = (codes + np.uint64(1)) * _MIX
    codes ^= codes >> np.uint64(29)
    return _combine(codes, width)


def _combine(single: Hashes, width: int) -> Hashes:
    """Combine hashes of half the width into hashes of `width`."""
    if width == 1:
        return single
    half = width // 2
    left = _combine(single, half)
    count = len(single) - width + 1
    pair = left[: len(left) - half] * _power(half) + left[half:]
    if width % 2 == 0:
        return pair[:count]
    return pair[:count] * _power(1) + single[width - 1 :]


def _power(width: int) -> np.uint64:
    return np.uint64(pow(_BASE, width, _WRAP))


class NgramSet:
    """The n-grams of `width` characters of one text."""

    def __init__(self, text: str, width: int) -> None:
        self._sorted = np.sort(ngram_hashes(text, width))

    def contains(self, hashes: Hashes) -> Found:
        """For each hash, whether the text contains the n-gram."""
        if not len(self._sorted):
            return np.zeros(len(hashes), dtype=np.bool_)
        at = np.searchsorted(self._sorted, hashes)
        at[at == len(self._sorted)] = 0
        found: Found = self._sorted[at] == hashes
        return found


def trailing_true_count(found: Found) -> int:
    """The number of consecutive true values at the end."""
    missing = np.flatnonzero(~found)
    return len(found) - 1 - int(missing[-1]) if len(missing) else len(found)
