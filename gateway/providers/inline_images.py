"""Images of a question as vendors without image addresses take them: by value, checked."""

from __future__ import annotations

from gateway.core.exceptions import UnsupportedParameter

_PARAM = "messages.content.image_url"
# How base64 of a PNG, JPEG, GIF and WebP begins.
_BASE64_PREFIXES = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")


def parse_image_data_url(url: str) -> tuple[str, str]:
    """(media type, base64) of an image by value.

    SDKs fetch an address themselves (with no look at where it points, blocking the loop) and read a string
    that happens to be a path from the disk, so only bytes that are an image may reach them.

    Raises:
        UnsupportedParameter: it is no data: URL of an image.
    """
    head, _, data = url.partition(";base64,")
    if not head.startswith("data:image/"):
        raise UnsupportedParameter("This model takes images as data: URLs only.", param=_PARAM)
    if not data.startswith(_BASE64_PREFIXES):
        raise UnsupportedParameter("The image is none of PNG, JPEG, GIF and WebP.", param=_PARAM)
    return head.removeprefix("data:"), data
