"""Images from Gemini's image models over `generateContent`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import orjson

from gateway.core.exceptions import UnsupportedParameter, UpstreamBroken, UpstreamRejected
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.images import ImageCompleted, ImageEvent, ImageProgress, ImageRequest
from gateway.providers.base import ImageProvider
from gateway.providers.finish_reason import parse_finish_reason
from gateway.providers.http import exchange
from gateway.providers.http.headers import configured_headers
from gateway.providers.image_prompt import merge_negative_prompt

_DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
_MAX_RESPONSE_BYTES = 96 * 1024 * 1024
# Supported aspect ratios; a requested size is mapped to the nearest one.
_ASPECT_RATIOS = {
    "1:1": 1.0, "2:3": 2 / 3, "3:2": 3 / 2, "3:4": 3 / 4, "4:3": 4 / 3,
    "4:5": 4 / 5, "5:4": 5 / 4, "9:16": 9 / 16, "16:9": 16 / 9, "21:9": 21 / 9,
}  # fmt: skip


class GeminiImages(ImageProvider):
    """Image models of Google's Gemini API: one call per image.

    The models accept aspect ratios, not sizes.
    """

    type = "gemini"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._base_url = exchange.normalize_base_url(config.base_url, _DEFAULT_BASE_URL)
        auth_headers = {"content-type": "application/json", "x-goog-api-key": config.api_key or ""}
        self._headers = {**auth_headers, **configured_headers(config)}
        self._extensions = {"timeout": exchange.timeout_extension(timeouts)}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key)

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        body = orjson.dumps(_body(request))
        for number in range(request.n):
            yield ImageProgress(number / request.n, "drawing")
            call = httpx.Request(
                "POST",
                f"{self._base_url}/v1beta/models/{request.model}:generateContent",
                headers=self._headers,
                content=body,
                extensions=dict(self._extensions),
            )
            yield _parse_image(await exchange.fetch_json(self.http, call, _MAX_RESPONSE_BYTES))


def _body(request: ImageRequest) -> dict[str, Any]:
    for field in ("workflow", "seed", "placeholders"):
        if getattr(request, field) not in (None, "", {}):
            raise UnsupportedParameter(f"This provider does not support {field}.", param=field)
    config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
    if request.width and request.height:
        ratio = request.width / request.height
        config["imageConfig"] = {
            "aspectRatio": min(_ASPECT_RATIOS, key=lambda name: abs(_ASPECT_RATIOS[name] - ratio))
        }
    return {
        "contents": [{"role": "user", "parts": [{"text": merge_negative_prompt(request)}]}],
        "generationConfig": config,
    }


def _raise_if_blocked(answer: dict[str, Any]) -> None:
    """Raise UpstreamRejected if the vendor's safety filter blocked the image."""
    blocked = (answer.get("promptFeedback") or {}).get("blockReason")
    reasons = [candidate.get("finishReason") for candidate in answer.get("candidates") or ()]
    if blocked or any(
        parse_finish_reason(reason) == "content_filter" for reason in reasons if reason != "NO_IMAGE"
    ):
        raise UpstreamRejected("The provider's safety filter rejected this request. Change the prompt.")


def _parse_image(body: bytes) -> ImageCompleted:
    try:
        parsed = orjson.loads(body)
        _raise_if_blocked(parsed)
        for part in parsed["candidates"][0]["content"]["parts"]:
            if data := part.get("inlineData"):
                content = base64.b64decode(data["data"], validate=True)
                return ImageCompleted(content, str(data.get("mimeType", "image/png")))
    except (
        orjson.JSONDecodeError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        binascii.Error,
    ) as error:
        raise UpstreamBroken("The provider returned no image.") from error
    raise UpstreamBroken("The provider returned no image.")
