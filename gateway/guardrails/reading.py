"""One reading of a text for all guards that judge it."""

from __future__ import annotations

from concurrent.futures import Future
from functools import lru_cache
from threading import Lock

import numpy as np
import numpy.typing as npt

from gateway.guardrails.base import Embed
from gateway.guardrails.encoder import Encoder, shared_encoder
from gateway.guardrails.features import INPUTS, read
from gateway.guardrails.heads import heads
from gateway.guardrails.passages import PASSAGE, look_closer, most_suspicious, passages, skim

Floats = npt.NDArray[np.float32]


class Reader:
    """Turns texts into the rows that heads judge; blocks, and may be called from several threads at once."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._lock = Lock()
        self._under_way: dict[str, Future[Floats]] = {}

    def windows(self, text: str) -> Floats:
        """A row for each window of `text`, twelve at most; a text being read already is not read twice."""
        with self._lock:
            reading = self._under_way.get(text)
            mine = reading is None
            if reading is None:
                reading = self._under_way[text] = Future()
        if not mine:
            return reading.result()
        try:
            reading.set_result(self._windows(text))
        except BaseException as problem:
            reading.set_exception(problem)
            raise
        finally:
            with self._lock:
                del self._under_way[text]
        return reading.result()

    def _windows(self, text: str) -> Floats:
        encoder: Encoder = shared_encoder()
        rows = [read(window, encoder, self._embed) for window in encoder.windows(text)]
        return np.stack(rows) if rows else np.zeros((0, INPUTS), dtype=np.float32)

    def passages(self, text: str) -> Floats:
        """A row for each of the dozen passages that look most like being meant for a model."""
        encoder = shared_encoder()
        found = passages(encoder.clean(text))
        if not found:
            return np.zeros((0, PASSAGE), dtype=np.float32)
        skimmed = skim(found, self._embed)
        chosen = most_suspicious(heads()["skim"].logits(skimmed))
        return look_closer(found, skimmed, chosen, encoder)


@lru_cache(maxsize=4)
def reader_for(embed: Embed) -> Reader:
    """The one reader of an embedder, so that guards asked about the same text share its reading."""
    return Reader(embed)
