"""Image, file and audio content parts."""

from __future__ import annotations

from typing import Any

from gateway.core.exceptions import UnsupportedParameter, ValidationFailed
from gateway.domain.messages import RawPart

_IMAGES = ("https://", "http://", "data:image/")


def parse_image_url(url: str, path: str) -> str:
    """Return an image URL with its scheme in lower case.

    Raises:
        ValidationFailed: neither an http(s) URL nor a data URL of an image.
    """
    head, colon, rest = url.partition(":")
    url = head.lower() + colon + rest
    if not url.startswith(_IMAGES):
        raise ValidationFailed("An image must be an http(s) or data:image URL.", param=path)
    return url


def raw_part(kind: str, content: Any, path: str) -> RawPart:
    """Return a `file` or `input_audio` part, for OpenAI-compatible providers.

    Raises:
        UnsupportedParameter: it is empty, or refers to an uploaded file: those belong to the operator's
            vendor account, to which clients have no access.
    """
    param = f"{path}.type"
    if not isinstance(content, dict) or not content:
        raise UnsupportedParameter("A part of this type needs content.", param=param)
    if content.get("file_id") is not None:
        raise UnsupportedParameter("Files must be given by file_data, not by file_id.", param=param)
    return RawPart(kind, {kind: content}, param)
