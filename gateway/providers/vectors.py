"""Post-processing of embeddings that vendors return."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.embeddings import Vectors
from gateway.domain.money import estimate_tokens
from gateway.domain.token_estimates import max_tokens_by_bytes

# Per text: begin and end tokens, and an instruction that a server may prepend.
_OVERHEAD_TOKENS = 512


def plausible_token_count(reported: int, texts: Sequence[str], tokens: Sequence[Sequence[int]] = ()) -> int:
    """Return the reported token count, or an estimate if it is 0 or implausibly high."""
    if tokens:
        actual = sum(map(len, tokens))
        return reported if 0 < reported <= actual + _OVERHEAD_TOKENS * len(tokens) else actual
    maximum = sum(max_tokens_by_bytes(text) + _OVERHEAD_TOKENS for text in texts)
    return reported if 0 < reported <= maximum else sum(map(estimate_tokens, texts))


def truncate_and_normalize(vectors: Vectors, dimensions: int | None) -> Vectors:
    """Truncate vectors to `dimensions`, and normalise them to length 1 again.

    Raises:
        UnsupportedParameter: the vectors have fewer dimensions.
    """
    if dimensions is None or vectors.shape[1] == dimensions:
        return np.ascontiguousarray(vectors)
    if vectors.shape[1] < dimensions:
        raise UnsupportedParameter(
            f"This model's vectors have {vectors.shape[1]} dimensions. Request at most as many.",
            param="dimensions",
        )
    truncated = vectors[:, :dimensions]
    norms = np.linalg.norm(truncated, axis=1, keepdims=True)
    return np.ascontiguousarray(truncated / np.where(norms == 0, np.float32(1), norms))
