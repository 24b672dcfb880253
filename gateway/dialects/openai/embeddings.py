"""OpenAI's embeddings: parses the body, encodes vectors as numbers or base64."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field

from gateway.core.exceptions import ValidationFailed
from gateway.dialects.base import parse_body
from gateway.dialects.openai.forwarded_fields import forwarded_fields
from gateway.domain.embeddings import EmbeddingRequest, Embeddings, Vectors

_MAX_TEXTS = 2048
_MAX_TOKEN_ID = 2**31
# Accepted, but not forwarded to upstreams.
_NOT_FORWARDED = frozenset({"metadata"})


class EmbeddingsBody(BaseModel):
    """OpenAI's body; `input` is one text or token list, or at most 2,048 of either.

    Unknown fields are accepted and forwarded to OpenAI-compatible providers.
    """

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1, max_length=200)]
    input: str | list[Any]
    dimensions: Annotated[int | None, Field(ge=1, le=65_536, strict=True)] = None
    encoding_format: Literal["float", "base64"] | None = None
    user: Annotated[str | None, Field(max_length=512)] = None


def parse_embeddings(body: bytes) -> tuple[EmbeddingsBody, EmbeddingRequest]:
    """Parse the body.

    Return it with the request, whose provider model is not chosen yet.

    Raises:
        ValidationFailed: the input is missing, empty, too long, or mixes texts and tokens.
    """
    parsed = parse_body(EmbeddingsBody, body)
    inputs = [parsed.input] if isinstance(parsed.input, str) else parsed.input
    if inputs and all(type(item) is int for item in inputs):
        inputs = [inputs]
    if not inputs:
        raise ValidationFailed("input needs at least one item.", param="input")
    if len(inputs) > _MAX_TEXTS:
        raise ValidationFailed(f"At most {_MAX_TEXTS} inputs are allowed per request.", param="input")
    are_tokens = isinstance(inputs[0], list)
    for index, item in enumerate(inputs):
        if are_tokens and not _are_tokens(item):
            raise ValidationFailed("Every input must be a list of token ids.", param=f"input.{index}")
        if not are_tokens and (not isinstance(item, str) or not item):
            raise ValidationFailed("Every input must be a non-empty text.", param=f"input.{index}")
    request = EmbeddingRequest(
        "",
        () if are_tokens else tuple(inputs),
        parsed.dimensions,
        tokens=tuple(map(tuple, inputs)) if are_tokens else (),
        as_base64=parsed.encoding_format == "base64",
        extra=forwarded_fields(parsed.model_extra or {}, _NOT_FORWARDED),
    )
    return parsed, request


def _are_tokens(item: Any) -> bool:
    return (
        isinstance(item, list)
        and bool(item)
        and all(type(token) is int and 0 <= token < _MAX_TOKEN_ID for token in item)
    )


def embeddings_body(result: Embeddings, model: str, encoding: Literal["float", "base64"] | None) -> bytes:
    """Encode OpenAI's `list` of embeddings as JSON.

    Base64 contains little-endian float32.

    Takes milliseconds for a large batch, so run it off the event loop.
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
