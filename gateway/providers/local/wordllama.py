"""Sentence vectors from the 256-dimensional token table in the `wordllama` wheel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

Vectors = npt.NDArray[np.float32]

DIMENSIONS = 256
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR = "embedding.weight"


class WordLlamaEmbedder:
    """Computes the normalised mean of the token vectors.

    It is thread-safe, and its table is memory-mapped.

    The package itself is never imported: its import configures the root logger, and its loader may download.
    """

    dimensions = DIMENSIONS

    def __init__(self, table: npt.NDArray[np.float16], tokenizer: Tokenizer) -> None:
        self._table = table
        self._tokenizer = tokenizer

    @classmethod
    def load(cls) -> WordLlamaEmbedder:
        """Load the tokenizer and map the table, in about 0.2 s.

        Raises:
            FileNotFoundError: the wheel is not installed or has no weights.
        """
        folder = _package_folder()
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(_map_table(folder / _WEIGHTS), tokenizer)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors of shape (len(texts), 256).

        A text without tokens has the zero vector.
        """
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            ids = self._token_ids(text)
            if ids:
                # Long texts repeat tokens, and widening float16 is the main cost.
                distinct, counts = np.unique(ids, return_counts=True)
                mean = counts.astype(np.float32) @ self._table[distinct].astype(np.float32)
                norm = float(np.sqrt(mean @ mean))
                if norm > 0.0:
                    vectors[row] = mean / norm
        return vectors

    def token_vectors(self, text: str) -> Vectors:
        """Return the table rows of the tokens, shape (tokens, 256).

        Rarer tokens have longer vectors.
        """
        vectors: Vectors = self._table[self._token_ids(text)].astype(np.float32)
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return the total number of tokens of the texts."""
        return sum(len(self._token_ids(text)) for text in texts)

    def _token_ids(self, text: str) -> list[int]:
        # Lone surrogates cannot be encoded as UTF-8, and the tokenizer raises for them.
        clean = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
        return self._tokenizer.encode(clean, add_special_tokens=False).ids


def _package_folder() -> Path:
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "The package wordllama, which contains the local embeddings, is not installed."
        )
    return Path(spec.submodule_search_locations[0])


def _map_table(path: Path) -> npt.NDArray[np.float16]:
    """Map the float16 tensor of a safetensors file (8-byte length, JSON header, data) read-only.

    Only the pages of tokens in use become resident, and workers share them.
    """
    with path.open("rb") as file:
        header_length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_length))
    entry = header[_TENSOR]
    rows, columns = entry["shape"]
    if entry["dtype"] != "F16" or columns != DIMENSIONS:
        raise ValueError(f"{path.name} is not a float16 table of {DIMENSIONS} dimensions.")
    start = 8 + header_length + entry["data_offsets"][0]
    mapped = np.memmap(path, dtype=np.float16, mode="r", offset=start, shape=(rows, columns))
    return np.asarray(mapped)
