"""What a provider sent, looked at before it is kept: is it a picture, which kind, how large."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from gateway.core.exceptions import UpstreamBroken

# What browsers show, and nothing that can hold a script.
_CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_MAX_PIXELS = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is seen of a picture; `digest` is the SHA-256 of its bytes in hex, sizes are in pixels."""

    digest: str
    content_type: str
    width: int
    height: int


def inspect_image(content: bytes, max_bytes: int) -> ImageInfo:
    """What a whole picture is; takes tens of milliseconds: not on the event loop.

    Raises:
        UpstreamBroken: it is no picture, is cut, or is larger than may be kept.
    """
    if len(content) > max_bytes:
        raise UpstreamBroken("The provider's picture is larger than may be kept here.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=tuple(_CONTENT_TYPES)) as image:
                format_name, (width, height) = image.format, image.size
                if width * height > _MAX_PIXELS:
                    raise UpstreamBroken("The provider's picture is larger than may be kept here.")
                image.load()  # a cut one fails here
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise UpstreamBroken("What the provider sent is not a picture, or not a whole one.") from error
    return ImageInfo(hashlib.sha256(content).hexdigest(), _CONTENT_TYPES[str(format_name)], width, height)
