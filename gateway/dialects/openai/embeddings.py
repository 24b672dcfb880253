"""OpenAI's embeddings: the body, and vectors as numbers or as base64."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field

from gateway.core.exceptions import ValidationFailed
from gateway.dialects.base import parse_body
from gateway.dialects.openai.passed_on import passed_on
from gateway.domain.embeddings import EmbeddingRequest, Embeddings, Vectors

_MOST_TEXTS = 2048
_MOST_TOKEN = 2**31
# Accepted and not for upstreams.
_NOT_PASSED_ON = frozenset({"metadata"})


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
    given = [parsed.input] if isinstance(parsed.input, str) else parsed.input
    if given and all(type(part) is int for part in given):
        given = [given]
    if not given:
        raise ValidationFailed("At least one input is needed.", param="input")
    if len(given) > _MOST_TEXTS:
        raise ValidationFailed(f"At most {_MOST_TEXTS} inputs go into one request.", param="input")
    of_tokens = isinstance(given[0], list)
    for at, part in enumerate(given):
        if of_tokens and not _are_tokens(part):
            raise ValidationFailed("Every input has to be a list of tokens.", param=f"input.{at}")
        if not of_tokens and (not isinstance(part, str) or not part):
            raise ValidationFailed("Every input has to be a text that is not empty.", param=f"input.{at}")
    request = EmbeddingRequest(
        "",
        () if of_tokens else tuple(given),
        parsed.dimensions,
        tokens=tuple(map(tuple, given)) if of_tokens else (),
        base64=parsed.encoding_format == "base64",
        extra=passed_on(parsed.model_extra or {}, _NOT_PASSED_ON),
    )
    return parsed, request


def _are_tokens(given: Any) -> bool:
    return (
        isinstance(given, list)
        and bool(given)
        and all(type(token) is int and 0 <= token < _MOST_TOKEN for token in given)
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
