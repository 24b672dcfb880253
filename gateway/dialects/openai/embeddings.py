"""OpenAI's embeddings: the body, and vectors as numbers or as base64."""

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
# Accepted and not for upstreams.
_NOT_FORWARDED = frozenset({"metadata"})


class EmbeddingsBody(BaseModel):
    """`input` is a text, a list of tokens, or a list of at most 2,048 of either.

    Unknown fields are accepted and handed to providers that speak OpenAI.
    """

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1, max_length=200)]
    input: str | list[Any]
    dimensions: Annotated[int | None, Field(ge=1, le=65_536, strict=True)] = None
    encoding_format: Literal["float", "base64"] | None = None
    user: Annotated[str | None, Field(max_length=512)] = None


def parse_embeddings(body: bytes) -> tuple[EmbeddingsBody, EmbeddingRequest]:
    """The body, and what it asks of a model as yet without a name.

    Raises:
        ValidationFailed: no input, an empty one, too many, or texts and tokens mixed.
    """
    parsed = parse_body(EmbeddingsBody, body)
    inputs = [parsed.input] if isinstance(parsed.input, str) else parsed.input
    if inputs and all(type(item) is int for item in inputs):
        inputs = [inputs]
    if not inputs:
        raise ValidationFailed("At least one input is needed.", param="input")
    if len(inputs) > _MAX_TEXTS:
        raise ValidationFailed(f"At most {_MAX_TEXTS} inputs go into one request.", param="input")
    are_tokens = isinstance(inputs[0], list)
    for index, item in enumerate(inputs):
        if are_tokens and not _are_tokens(item):
            raise ValidationFailed("Every input has to be a list of tokens.", param=f"input.{index}")
        if not are_tokens and (not isinstance(item, str) or not item):
            raise ValidationFailed("Every input has to be a text that is not empty.", param=f"input.{index}")
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
