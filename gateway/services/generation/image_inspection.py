"""Inspects image bytes from providers before they are stored."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from gateway.core.exceptions import UpstreamBroken

# Formats that browsers display and that cannot contain scripts.
_CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_MAX_PIXELS = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Properties of an image.

    `digest` is the SHA-256 of its bytes in hex, sizes are in pixels.
    """

    digest: str
    content_type: str
    width: int
    height: int


def inspect_image(content: bytes, max_bytes: int) -> ImageInfo:
    """Inspect a complete image.

    Takes tens of milliseconds, so run it off the event loop.

    Raises:
        UpstreamBroken: not an image, truncated, or too large.
    """
    if len(content) > max_bytes:
        raise UpstreamBroken("The provider's image is larger than the configured maximum.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=tuple(_CONTENT_TYPES)) as image:
                format_name, (width, height) = image.format, image.size
                if width * height > _MAX_PIXELS:
                    raise UpstreamBroken("The provider's image is larger than the configured maximum.")
                image.load()  # fails for truncated images
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise UpstreamBroken("The provider returned data that is not a complete image.") from error
    return ImageInfo(hashlib.sha256(content).hexdigest(), _CONTENT_TYPES[str(format_name)], width, height)
