"""Validates inline images for vendors that accept image data but no image URLs."""

from __future__ import annotations

from gateway.core.exceptions import UnsupportedParameter

_PARAM = "messages.content.image_url"
# How the base64 encoding of a PNG, JPEG, GIF or WebP begins.
_BASE64_PREFIXES = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")


def parse_image_data_url(url: str) -> tuple[str, str]:
    """Return the media type and base64 data of a `data:` URL.

    Only image data may reach an SDK: given a URL, SDKs fetch it themselves, unchecked and blocking the event
    loop, and given a path, they read the file.

    Raises:
        UnsupportedParameter: `url` is not a `data:` URL of an image.
    """
    head, _, data = url.partition(";base64,")
    if not head.startswith("data:image/"):
        raise UnsupportedParameter("This model accepts images as data: URLs only.", param=_PARAM)
    if not data.startswith(_BASE64_PREFIXES):
        raise UnsupportedParameter("The image is not a PNG, JPEG, GIF or WebP file.", param=_PARAM)
    return head.removeprefix("data:"), data
