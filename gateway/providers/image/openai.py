"""Pictures of OpenAI and of every server that speaks its `/images/generations`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import orjson

from gateway.core.exceptions import UnsupportedParameter, UpstreamBroken
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.images import ImageDone, ImageEvent, ImageRequest
from gateway.providers.chat import wire
from gateway.providers.chat.openai import DEFAULT_BASE_URL
from gateway.providers.image.base import ImageProvider, in_one

_MAX_ANSWER = 192 * 1024 * 1024


class OpenAIImages(ImageProvider):
    """`base_url` includes `/v1`. Pictures come in the answer: an address would have to be fetched blindly."""

    type = "openai"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._url = f"{wire.base_url_of(config.base_url, DEFAULT_BASE_URL)}/images/generations"
        self._headers = {"content-type": "application/json"}
        if config.api_key:
            self._headers["authorization"] = f"Bearer {config.api_key}"
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        call = httpx.Request(
            "POST",
            self._url,
            headers=self._headers,
            content=orjson.dumps(_body(request)),
            extensions=dict(self._extensions),
        )
        response = await wire.send(self.http, call)
        try:
            wire.expect_type(response, "json")
            answer = await wire.whole(response, _MAX_ANSWER)
        finally:
            await response.aclose()
        for content in read_pictures(answer, request.n):
            yield ImageDone(content, "image/png")


def _body(request: ImageRequest) -> dict[str, Any]:
    for field in ("workflow", "seed", "placeholders"):
        if getattr(request, field) not in (None, "", {}):
            raise UnsupportedParameter(f"This provider takes no {field}.", param=field)
    body: dict[str, Any] = {"model": request.model, "prompt": in_one(request), "n": request.n}
    if request.width and request.height:
        body["size"] = f"{request.width}x{request.height}"
    elif request.width or request.height:
        raise UnsupportedParameter("Give both width and height, or neither.", param="width")
    if request.model.startswith("dall-e"):  # the newer ones always answer so, and refuse the field
        body["response_format"] = "b64_json"
    return body


def read_pictures(answer: bytes, wanted: int) -> list[bytes]:
    """The pictures of an answer; UpstreamBroken where there are none, or not in base64."""
    try:
        pictures = [
            base64.b64decode(item["b64_json"], validate=True) for item in orjson.loads(answer)["data"]
        ]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise UpstreamBroken from error
    if not pictures or len(pictures) > wanted or not all(pictures):
        raise UpstreamBroken("The provider ended without a picture.")
    return pictures
