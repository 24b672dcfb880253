"""OpenAI's image generation: parses the body, encodes images as base64 or URLs."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.dialects.base import parse_body
from gateway.domain.images import ImageRequest, StoredImage
from gateway.schemas.media import GenerationsBody
from gateway.services.generation.images import ImageOrder

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
# Values that have no effect on the image, or match the default.
_IGNORED_VALUES: dict[str, tuple[Any, ...]] = {
    "quality": (None, "auto", "standard"),
    "style": (None,),
    "background": (None, "auto"),
    "moderation": (None, "auto"),
    "output_format": (None, "png"),
    "output_compression": (None, 100),
    "partial_images": (None, 0),
    "stream": (None, False),
}
# Further values of OpenAI's API; the provider determines whether they are supported.
_RENDERING: dict[str, tuple[Any, ...]] = {
    "quality": ("low", "medium", "high", "hd"),
    "style": ("vivid", "natural"),
    "background": ("transparent", "opaque"),
    "output_format": ("jpeg", "webp"),
    "output_compression": tuple(range(100)),
}


def parse_generations(body: bytes) -> tuple[ImageOrder, bool]:
    """Parse the body; return the order, and whether images are wanted as base64.

    Raises:
        ValidationFailed, UnsupportedParameter: each names the `param`.
    """
    parsed = parse_body(GenerationsBody, body)
    rendering: dict[str, Any] = {}
    for name, value in (parsed.model_extra or {}).items():
        if value in _IGNORED_VALUES.get(name, ()):
            continue
        if type(value) in (str, int) and value in _RENDERING.get(name, ()):
            rendering[name] = value
        else:
            raise UnsupportedParameter("This value is not supported.", param=name[:100])
    width = height = None
    if parsed.size not in (None, "auto"):
        size = _SIZE.fullmatch(parsed.size or "")
        if size is None:
            raise ValidationFailed("A size must look like 1024x1024.", param="size")
        width, height = int(size[1]), int(size[2])
    if parsed.response_format not in (None, "url", "b64_json"):
        raise ValidationFailed("Must be url or b64_json.", param="response_format")
    request = ImageRequest(
        model="",
        prompt=parsed.prompt,
        width=width,
        height=height,
        n=parsed.n or 1,
        rendering=rendering,
    )
    return ImageOrder(request, parsed.model), parsed.response_format != "url"


def with_openai_param(error: ValidationFailed) -> ValidationFailed:
    """Return the error with OpenAI's parameter name: width and height are one `size`."""
    return ValidationFailed(str(error), param="size") if error.param in ("width", "height") else error


def generations_body(
    images: Sequence[StoredImage], contents: Sequence[bytes] | None, urls: Sequence[str]
) -> dict[str, Any]:
    """Return OpenAI's response: `b64_json` if `contents` are given, else `url`."""
    if contents is not None:
        data = [{"b64_json": base64.b64encode(content).decode("ascii")} for content in contents]
    else:
        data = [{"url": address} for address in urls]
    created = images[0].created_at if images else datetime.now(UTC)
    return {"created": int(created.timestamp()), "data": data}
