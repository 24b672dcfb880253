"""Pictures of Gemini's image models, by `generateContent`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import orjson

from gateway.core.exceptions import UnsupportedParameter, UpstreamBroken, UpstreamRejected
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.images import ImageDone, ImageEvent, ImageProgress, ImageRequest
from gateway.providers.chat import wire
from gateway.providers.chat.finish import finish_of
from gateway.providers.chat.openai_headers import own_headers
from gateway.providers.image.base import ImageProvider, in_one

_DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
_MAX_ANSWER = 96 * 1024 * 1024
# What the models can frame; a size asked for takes the nearest shape.
_RATIOS = {
    "1:1": 1.0, "2:3": 2 / 3, "3:2": 3 / 2, "3:4": 3 / 4, "4:3": 4 / 3,
    "4:5": 4 / 5, "5:4": 5 / 4, "9:16": 9 / 16, "16:9": 16 / 9, "21:9": 21 / 9,
}  # fmt: skip


class GeminiImages(ImageProvider):
    """One call a picture; the models take a shape, not pixels."""

    type = "gemini"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._base = wire.base_url_of(config.base_url, _DEFAULT_BASE_URL)
        key = {"content-type": "application/json", "x-goog-api-key": config.api_key or ""}
        self._headers = {**key, **own_headers(config)}
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key)

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        body = orjson.dumps(_body(request))
        for number in range(request.n):
            yield ImageProgress(number / request.n, "drawing")
            call = httpx.Request(
                "POST",
                f"{self._base}/v1beta/models/{request.model}:generateContent",
                headers=self._headers,
                content=body,
                extensions=dict(self._extensions),
            )
            response = await wire.send(self.http, call)
            try:
                wire.expect_type(response, "json")
                answer = await wire.whole(response, _MAX_ANSWER)
            finally:
                await response.aclose()
            yield _picture(answer)


def _body(request: ImageRequest) -> dict[str, Any]:
    for field in ("workflow", "seed", "placeholders"):
        if getattr(request, field) not in (None, "", {}):
            raise UnsupportedParameter(f"This provider takes no {field}.", param=field)
    config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
    if request.width and request.height:
        wanted = request.width / request.height
        config["imageConfig"] = {"aspectRatio": min(_RATIOS, key=lambda name: abs(_RATIOS[name] - wanted))}
    return {"contents": [{"role": "user", "parts": [{"text": in_one(request)}]}], "generationConfig": config}


def _refuse_blocked(answer: dict[str, Any]) -> None:
    """Raises UpstreamRejected where the vendor refused to draw what was asked for."""
    blocked = (answer.get("promptFeedback") or {}).get("blockReason")
    words = [one.get("finishReason") for one in answer.get("candidates") or ()]
    if blocked or any(finish_of(word) == "content_filter" for word in words if word != "NO_IMAGE"):
        raise UpstreamRejected("The provider refused to draw this. Ask for another picture.")


def _picture(answer: bytes) -> ImageDone:
    try:
        reply = orjson.loads(answer)
        _refuse_blocked(reply)
        for part in reply["candidates"][0]["content"]["parts"]:
            if data := part.get("inlineData"):
                content = base64.b64decode(data["data"], validate=True)
                return ImageDone(content, str(data.get("mimeType", "image/png")))
    except (
        orjson.JSONDecodeError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        binascii.Error,
    ) as error:
        raise UpstreamBroken("The provider ended without a picture.") from error
    raise UpstreamBroken("The provider ended without a picture.")
