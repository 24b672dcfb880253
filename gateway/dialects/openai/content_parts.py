"""Files and sounds of a body, which only providers that speak OpenAI's API take."""

from __future__ import annotations

from typing import Any

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.domain.messages import RawPart

_IMAGES = ("https://", "http://", "data:image/")


def parse_image_url(url: str, path: str) -> str:
    """The address of an image, its scheme in lower case.

    Raises:
        ValidationFailed: it is neither http(s) nor an image by value.
    """
    head, colon, rest = url.partition(":")
    url = head.lower() + colon + rest
    if not url.startswith(_IMAGES):
        raise ValidationFailed("An image is an http(s) or data:image URL.", param=path)
    return url


def raw_part(kind: str, content: Any, path: str) -> RawPart:
    """A part `file` or `input_audio` of chat completions with its content.

    Raises:
        UnsupportedParameter: it has none, or names a file: the vendor's files are of the operator's account,
            and a client of the gateway has none there.
    """
    param = f"{path}.type"
    if not isinstance(content, dict) or not content:
        raise UnsupportedParameter("A part of this type needs its content.", param=param)
    if content.get("file_id") is not None:
        raise UnsupportedParameter("Files are given by file_data here, not by file_id.", param=param)
    return RawPart(kind, {kind: content}, param)
