"""Images without a model.

The image is a PNG that shows the prompt, deterministic for a prompt and seed.

Simulated failures, selected by the model's name in the configuration: `fail` fails at once, `no-image`
returns no image.
"""

from __future__ import annotations

import asyncio
import io
import textwrap
import zlib
from collections.abc import AsyncGenerator

from PIL import Image, ImageDraw, ImageFont

from gateway.core.exceptions import UpstreamBroken, UpstreamUnavailable
from gateway.domain.images import ImageCompleted, ImageEvent, ImageProgress, ImageRequest
from gateway.providers.base import ImageProvider

_DEFAULT_SIDE = 512
_MARGIN = 0.08
_MAX_SEED = 2**63


class MockImages(ImageProvider):
    """Deterministic images and simulated failures; see the module."""

    type = "mock"

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        if request.model == "fail":
            raise UpstreamUnavailable
        if request.model == "no-image":
            raise UpstreamBroken("The provider returned no image.")
        seed = (
            request.seed
            if request.seed is not None
            else zlib.crc32(request.prompt.encode("utf-8", "replace"))
        )
        for number in range(request.n):
            yield ImageProgress(number / request.n, "drawing")
            image_seed = (seed + number) % _MAX_SEED
            content = await asyncio.to_thread(_render_image, request, image_seed)
            yield ImageCompleted(content, "image/png", image_seed)


def _render_image(request: ImageRequest, seed: int) -> bytes:
    """Draw a two-coloured gradient with the prompt on it."""
    width, height = request.width or _DEFAULT_SIDE, request.height or _DEFAULT_SIDE
    checksum = zlib.crc32(f"{seed}\0{request.prompt}".encode("utf-8", "replace"))
    first, second = ((checksum >> shift) & 0x7F7F7F for shift in (0, 8))
    gradient = Image.linear_gradient("L").resize((width, height))
    image = Image.composite(
        Image.new("RGB", (width, height), f"#{first:06x}"),
        Image.new("RGB", (width, height), f"#{second:06x}"),
        gradient,
    )
    size = max(8, min(width, height) // 16)
    font = ImageFont.load_default(size)
    columns = max(8, int(width * (1 - 2 * _MARGIN) / (size * 0.55)))
    rows = max(1, int(height * (1 - 2 * _MARGIN) / (size * 1.3)) - 1)
    lines = textwrap.wrap(request.prompt, columns)[:rows] or ["(no prompt)"]
    text = "\n".join([*lines, f"seed {seed}"])
    origin = (int(width * _MARGIN), int(height * _MARGIN))
    ImageDraw.Draw(image).multiline_text(origin, text, fill="white", font=font, spacing=size * 0.3)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
