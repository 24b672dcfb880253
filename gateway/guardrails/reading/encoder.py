"""The ONNX classifier of the `stackone-defender` wheel, used as a text encoder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

POOLED_SIZE = 384

_MIN_CHARACTERS = 10
_WINDOW = 254  # without [CLS] and [SEP]
_STRIDE = 190
_END_WINDOWS = 4  # at either end, and as many in between
_END_CHARACTERS = 12_000
_SLICES = 8
_SLICE_CHARACTERS = 1_000

_DECORATION = re.compile(r"([^\w\s])\1{3,}")

# An inner tensor: the mean of the last layer's tokens, from which the model's own heads are computed.
_POOLED = "/Cast_1_output_0"
# The heads were fitted to the output of exactly this model.
_MODEL_SHA256 = "3d4a1ba798c395c140202992c50e6c8de02fb1b9bd5aba6540848705b9c1e92c"


@dataclass(frozen=True, slots=True)
class Window:
    """A token window of a text (at most 256 tokens) and the same part as cleaned text."""

    ids: tuple[int, ...]
    text: str


class Encoder:
    """Tokenizer and ONNX session, one thread per text; usable from several threads."""

    def __init__(self, folder: Path) -> None:
        # Imported in a worker thread: together they take 0.25 s.
        import onnxruntime  # type: ignore[import-untyped]
        from stackone_defender.sanitizers.normalizer import normalize_unicode
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        model = add_outputs(_verified((folder / "model_quantized.onnx").read_bytes()), _POOLED)
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._unknown = self._tokenizer.token_to_id("[UNK]")
        self._normalize = normalize_unicode

    def clean(self, text: str) -> str:
        """Fold look-alike and invisible characters and shorten repeated punctuation.

        Of a long text only the beginning, the end and samples in between remain.
        """
        folded = self._normalize(excerpt(text).encode("utf-8", "replace").decode("utf-8"))
        # Folding can lengthen a text eighteen-fold.
        return excerpt(_DECORATION.sub(r"\1\1\1", folded))

    def windows(self, text: str) -> list[Window]:
        """Up to twelve token windows in reading order."""
        clean = self.clean(text)
        if len(clean.strip()) < _MIN_CHARACTERS:
            return []
        encoding = self._tokenizer.encode(clean)
        first, *body, last = encoding.ids
        offsets = encoding.offsets[1:-1]
        windows = []
        for start in select_spread(list(range(0, max(1, len(body) - _WINDOW + _STRIDE), _STRIDE))):
            cut = body[start : start + _WINDOW]
            if cut and not self._degenerate(cut):
                span = clean[offsets[start][0] : offsets[start + len(cut) - 1][1]]
                windows.append(Window((first, *cut, last), span))
        return windows

    def passage(self, text: str) -> Window:
        """The first window of a cleaned text."""
        ids = self._tokenizer.encode(text).ids
        return Window((*ids[: _WINDOW + 1], ids[-1]), text)

    def _degenerate(self, ids: list[int]) -> bool:
        """Whether one token fills the window, which the classifier cannot judge.

        Rows of unknown tokens are not degenerate: disguised letters look like that.
        """
        if len(ids) < 3 or len(set(ids)) > 4:
            return False
        commonest = max(set(ids), key=ids.count)
        return commonest != self._unknown and ids.count(commonest) * 3 >= len(ids) * 2

    def read(self, window: Window) -> tuple[Floats, Floats]:
        """Run the model: logits of both heads, and `POOLED_SIZE` pooled values.

        The `main` head comes first. Takes 1 ms for a short sentence and 16 ms for 256 tokens.
        """
        inputs = np.array([window.ids], dtype=np.int64)
        feed = {"input_ids": inputs, "attention_mask": np.ones_like(inputs)}
        logits, pooled = self._session.run(None, feed)
        return logits[0], pooled[0]


_loading = Lock()


def shared_encoder() -> Encoder:
    """The encoder of the process, loaded on first use (0.25 s; blocks)."""
    with _loading:  # two concurrent first calls must not both load it
        return load_encoder()


@lru_cache(maxsize=1)
def load_encoder() -> Encoder:
    """Load the model; use `shared_encoder`, which is safe with concurrent first calls."""
    from stackone_defender import get_default_model_path

    return Encoder(Path(get_default_model_path()))


def _verified(model: bytes) -> bytes:
    """Return the model if it is the one that the heads were fitted to.

    Raises:
        RuntimeError: another version of `stackone-defender` is installed.
    """
    if sha256(model).hexdigest() != _MODEL_SHA256:
        raise RuntimeError(
            "The guard model of the installed stackone-defender is not the expected one. Install the version "
            "in requirements.txt, or fit the heads again with bench/quality/fit_guard.py."
        )
    return model


def add_outputs(model: bytes, *tensors: str) -> bytes:
    """Return the ONNX model with inner tensors as additional outputs.

    Concatenated protobuf messages are merged, and repeated fields are appended: bytes that encode
    `graph { output { name } }` add an output without parsing the graph.
    """
    return model + b"".join(
        _encode_field(7, _encode_field(12, _encode_field(1, name.encode("ascii")))) for name in tensors
    )


def _encode_field(number: int, payload: bytes) -> bytes:
    if len(payload) > 127:
        raise ValueError("A tensor's name is too long for a one-byte length.")
    return bytes([number << 3 | 2, len(payload)]) + payload


def excerpt(text: str) -> str:
    """Shorten a long text to its beginning, evenly spaced samples and its end."""
    if len(text) <= 2 * _END_CHARACTERS + _SLICES * _SLICE_CHARACTERS:
        return text
    step = (len(text) - 2 * _END_CHARACTERS) // _SLICES
    starts = range(_END_CHARACTERS, len(text) - _END_CHARACTERS - _SLICE_CHARACTERS + 1, step)
    slices = [text[start : start + _SLICE_CHARACTERS] for start in starts]
    return "\n".join([text[:_END_CHARACTERS], *slices, text[-_END_CHARACTERS:]])


def select_spread(starts: list[int]) -> list[int]:
    """All items, or the first four, the last four and four evenly spaced in between."""
    n = _END_WINDOWS
    if len(starts) <= 3 * n:
        return starts
    middle = starts[n:-n]
    picked = [middle[(2 * i + 1) * len(middle) // (2 * n)] for i in range(n)]
    return [*starts[:n], *picked, *starts[-n:]]
