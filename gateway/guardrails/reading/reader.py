"""Feature extraction shared by all guards that judge the same text."""

from __future__ import annotations

from concurrent.futures import Future
from functools import lru_cache
from threading import Lock

import numpy as np
import numpy.typing as npt

from gateway.guardrails.base import EmbedTexts
from gateway.guardrails.reading.encoder import Encoder, shared_encoder
from gateway.guardrails.reading.features import INPUT_COUNT, extract_features
from gateway.guardrails.reading.heads import load_heads
from gateway.guardrails.reading.passages import (
    PASSAGE_FEATURE_COUNT,
    cheap_features,
    encode_passages,
    most_suspicious,
    split_passages,
)

Floats = npt.NDArray[np.float32]


class SharedReader:
    """Turns texts into feature rows for the heads; blocks; thread-safe."""

    def __init__(self, embed: EmbedTexts) -> None:
        self._embed = embed
        self._lock = Lock()
        self._in_progress: dict[str, Future[Floats]] = {}

    def message_rows(self, text: str) -> Floats:
        """A row for each of up to twelve windows; concurrent calls share one computation."""
        with self._lock:
            reading = self._in_progress.get(text)
            is_first = reading is None
            if reading is None:
                reading = self._in_progress[text] = Future()
        if not is_first:
            return reading.result()
        try:
            reading.set_result(self._read_message(text))
        except BaseException as problem:
            reading.set_exception(problem)
            raise
        finally:
            with self._lock:
                del self._in_progress[text]
        return reading.result()

    def _read_message(self, text: str) -> Floats:
        encoder: Encoder = shared_encoder()
        rows = [extract_features(window, encoder, self._embed) for window in encoder.windows(text)]
        return np.stack(rows) if rows else np.zeros((0, INPUT_COUNT), dtype=np.float32)

    def document_rows(self, text: str) -> Floats:
        """A row for each of the dozen most suspicious passages."""
        encoder = shared_encoder()
        passages_found = split_passages(encoder.clean(text))
        if not passages_found:
            return np.zeros((0, PASSAGE_FEATURE_COUNT), dtype=np.float32)
        cheap_rows = cheap_features(passages_found, self._embed)
        chosen = most_suspicious(load_heads()["skim"].logits(cheap_rows))
        return encode_passages(passages_found, cheap_rows, chosen, encoder)


@lru_cache(maxsize=4)
def shared_reader(embed: EmbedTexts) -> SharedReader:
    """The reader for an embedder, shared by all guards."""
    return SharedReader(embed)
