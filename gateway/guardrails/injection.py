"""Prompt injection and jailbreaks, by the small ONNX classifier inside the `stackone-defender` wheel."""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from gateway.guardrails.base import Embed, Guardrail, Verdict

THRESHOLD = 0.5

# The model has two heads: `main` says "an attack", `aux` says "only looks like one". An aux above this level
# takes weight off the main head, and the score is 0.5 where what is left reaches the margin. Both were chosen
# on public sets together with the threshold; docs/QUALITY.md has the figures.
_AUX_LEVEL = -2.0
_AUX_WEIGHT = 2.0
# The model has read English only; of other languages it thinks worse, and so they get a wider margin.
_MARGIN = 3.0
_FOREIGN_MARGIN = 5.0
_TEMPERATURE = 2.41  # from the model's own calibration

_SHORTEST = 10
_WINDOW = 254  # tokens between [CLS] and [SEP]
_STRIDE = 190
_END_WINDOWS = 4  # read at either end, and as many in between
_END_CHARACTERS = 12_000
_SLICES = 8
_SLICE_CHARACTERS = 1_000

_WORD = re.compile(r"[^\W\d_]+")
# Common words that English shares with none of its neighbours ("in", "was" and "will" are German too).
_ENGLISH = frozenset(
    re.findall(
        r"\w+",
        "the of to and that this it you your what how why who when where which with not does can could "
        "please from have would about are is my all",
    )
)
_ENGLISH_SHARE = 0.08
_DECORATION = re.compile(r"([^\w\s])\1{3,}")


class InjectionGuard(Guardrail):
    """One shared session, single-threaded per text, in a small pool beside the event loop.

    A text of up to some 2,000 tokens is read whole; of a longer one the beginning, the end and places in
    between, so that a megabyte costs no more than twelve windows.
    """

    name: ClassVar[str] = "injection"

    def __init__(self, embed: Embed, threads: int | None = None) -> None:
        self._embed = embed
        workers = threads or max(1, min(4, (os.cpu_count() or 2) - 1))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="guard-injection")

    async def warm_up(self) -> None:
        """Load the model and run it once: about a quarter of a second, in the pool."""
        await asyncio.get_running_loop().run_in_executor(self._pool, judge, "Is the model awake?")

    async def check(self, text: str) -> Verdict:
        """Judge `text`; the first check loads the model unless `warm_up` has."""
        score, ms = await asyncio.get_running_loop().run_in_executor(self._pool, judge, text)
        flagged = score >= THRESHOLD
        reason = (
            "The message looks like an attempt to make the model break its instructions."
            if flagged
            else "Nothing in the message looks like an attack on the model's instructions."
        )
        return Verdict(self.name, flagged, score, reason, ms)

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def judge(text: str) -> tuple[float, float]:
    """The highest score (0..1) of the windows read, and the milliseconds it took; blocks."""
    started = time.perf_counter()
    model = shared_model()
    margin = margin_for(text)
    highest = 0.0
    for ids in model.windows(text):
        highest = max(highest, combine(*model.logits(ids), margin))
        if highest >= THRESHOLD:
            break
    return highest, (time.perf_counter() - started) * 1000


class _Model:
    """Tokenizer and session; both may be used by several threads at once."""

    def __init__(self, folder: Path) -> None:
        # Imported here, in a thread: together they take a quarter of a second.
        import onnxruntime  # type: ignore[import-untyped]
        from stackone_defender.sanitizers.normalizer import normalize_unicode
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(folder / "model_quantized.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._unknown = self._tokenizer.token_to_id("[UNK]")
        self._normalize = normalize_unicode

    def windows(self, text: str) -> list[list[int]]:
        """Token windows worth scoring, in reading order, twelve at most."""
        clean = excerpt(text).encode("utf-8", "replace").decode("utf-8")
        # Folding may lengthen a text eighteen-fold, so it is cut once more.
        clean = excerpt(_DECORATION.sub(r"\1\1\1", self._normalize(clean)))
        if len(clean.strip()) < _SHORTEST:
            return []
        first, *body, last = self._tokenizer.encode(clean).ids
        starts = list(range(0, max(1, len(body) - _WINDOW + _STRIDE), _STRIDE))
        cuts = [body[start : start + _WINDOW] for start in spread(starts)]
        return [[first, *cut, last] for cut in cuts if not self._degenerate(cut)]

    def _degenerate(self, ids: list[int]) -> bool:
        """Whether one token fills the window: the model's answer to `aaaa…` or `----` means nothing.

        Rows of unknown tokens are kept: that is what disguised letters look like.
        """
        if len(ids) < 3 or len(set(ids)) > 4:
            return False
        commonest = max(set(ids), key=ids.count)
        return commonest != self._unknown and ids.count(commonest) * 3 >= len(ids) * 2

    def logits(self, ids: list[int]) -> tuple[float, float]:
        """What the two heads say, `main` first."""
        inputs = np.array([ids], dtype=np.int64)
        logits = self._session.run(None, {"input_ids": inputs, "attention_mask": np.ones_like(inputs)})[0][0]
        return float(logits[0]), float(logits[1])


_loading = Lock()


def shared_model() -> _Model:
    with _loading:  # else two first checks would both load it
        return _load()


@lru_cache(maxsize=1)
def _load() -> _Model:
    from stackone_defender import get_default_model_path

    return _Model(Path(get_default_model_path()))


def combine(main: float, aux: float, margin: float = _MARGIN) -> float:
    """One score in 0..1 from the logits of both heads; 0.5 is where a text gets flagged."""
    beyond = main - _AUX_WEIGHT * max(aux - _AUX_LEVEL, 0.0) - margin
    return 1.0 / (1.0 + math.exp(min(-beyond / _TEMPERATURE, 700.0)))


def margin_for(text: str) -> float:
    """The wider margin for a text with hardly any of English's commonest words."""
    words = _WORD.findall(text[:_END_CHARACTERS].lower())
    common = sum(word in _ENGLISH for word in words)
    return _MARGIN if common >= _ENGLISH_SHARE * len(words) else _FOREIGN_MARGIN


def excerpt(text: str) -> str:
    """`text`, or the beginning, evenly spaced slices and the end of a long one."""
    if len(text) <= 2 * _END_CHARACTERS + _SLICES * _SLICE_CHARACTERS:
        return text
    step = (len(text) - 2 * _END_CHARACTERS) // _SLICES
    starts = range(_END_CHARACTERS, len(text) - _END_CHARACTERS - _SLICE_CHARACTERS + 1, step)
    slices = [text[start : start + _SLICE_CHARACTERS] for start in starts]
    return "\n".join([text[:_END_CHARACTERS], *slices, text[-_END_CHARACTERS:]])


def spread(starts: list[int]) -> list[int]:
    """All of `starts`, or the first four, the last four and four evenly spaced ones of the rest."""
    n = _END_WINDOWS
    if len(starts) <= 3 * n:
        return starts
    middle = starts[n:-n]
    picked = [middle[(2 * i + 1) * len(middle) // (2 * n)] for i in range(n)]
    return [*starts[:n], *picked, *starts[-n:]]
