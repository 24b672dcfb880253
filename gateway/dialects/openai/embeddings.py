"""OpenAI's embeddings: the body, and vectors as numbers or as base64."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.dialects.base import parse_body
from gateway.domain.embeddings import Embeddings, Vectors

_MOST_TEXTS = 2048


class EmbeddingsBody(BaseModel):
    """`input` is a text or a list of at most 2,048; unknown fields are accepted and not passed on."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1, max_length=200)]
    input: str | list[Any]
    dimensions: Annotated[int | None, Field(ge=1, le=65_536, strict=True)] = None
    encoding_format: Literal["float", "base64"] | None = None
    user: Annotated[str | None, Field(max_length=512)] = None


def parse_embeddings(body: bytes) -> tuple[EmbeddingsBody, tuple[str, ...]]:
    """The body, and its texts.

    Raises:
        ValidationFailed: no text, an empty one, or too many. UnsupportedParameter: lists of tokens.
    """
    parsed = parse_body(EmbeddingsBody, body)
    given = [parsed.input] if isinstance(parsed.input, str) else parsed.input
    if not given:
        raise ValidationFailed("At least one text is needed.", param="input")
    if len(given) > _MOST_TEXTS and all(isinstance(text, str) for text in given):
        raise ValidationFailed(f"At most {_MOST_TEXTS} texts go into one request.", param="input")
    if any(isinstance(part, int | list) and not isinstance(part, bool) for part in given):
        raise UnsupportedParameter("Send texts; lists of tokens fit one vendor only.", param="input")
    for at, text in enumerate(given):
        if not isinstance(text, str) or not text:
            raise ValidationFailed("Every input has to be a text that is not empty.", param=f"input.{at}")
    return parsed, tuple(given)


def embeddings_body(result: Embeddings, model: str, encoding: Literal["float", "base64"] | None) -> bytes:
    """OpenAI's `list` of embeddings as JSON; base64 is that of little-endian float32.

    Takes milliseconds for a large batch: not on the event loop.
    """
    answer = {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64(vector) if encoding == "base64" else vector,
            }
            for index, vector in enumerate(result.vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": result.prompt_tokens, "total_tokens": result.prompt_tokens},
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _base64(vector: Vectors) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")
