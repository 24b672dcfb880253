"""Images over OpenAI's `/images/generations`, also of compatible servers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import orjson

from gateway.core.exceptions import UnsupportedParameter, UpstreamBroken
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.images import ImageCompleted, ImageEvent, ImageRequest
from gateway.providers.base import ImageProvider
from gateway.providers.http import exchange
from gateway.providers.image_prompt import merge_negative_prompt
from gateway.providers.openai.endpoint import OpenAIEndpoint

_MAX_RESPONSE_BYTES = 192 * 1024 * 1024
_MAX_IMAGE_BYTES = 64 * 1024 * 1024


class OpenAIImages(OpenAIEndpoint, ImageProvider):
    """Image models of OpenAI and of OpenAI-compatible servers.

    `options.headers` are sent with every call. Images are requested inline. An
    image URL is fetched only from the provider's own origin or a host of `options.image_hosts`, since a
    response must not direct the gateway to other hosts. `options.response_format` (`b64_json`, `none`) says
    whether to request base64; by default it depends on the model.
    """

    path = "/images/generations"
    rendering_options = frozenset({"quality", "output_format", "output_compression", "background", "style"})

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._response_format = config.options.get("response_format")
        if self._response_format not in (None, "b64_json", "none"):
            raise ValueError("options.response_format must be `b64_json` or `none`")
        hosts = config.options.get("image_hosts") or ()
        if isinstance(hosts, str) or not all(isinstance(host, str) for host in hosts):
            raise ValueError("options.image_hosts must be a list of host names")
        self._image_hosts = frozenset(host.lower() for host in hosts)

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        body = _body(request)
        if self._requests_base64(request.model):
            body["response_format"] = "b64_json"
        answer = await exchange.fetch_json(self.http, self._request(orjson.dumps(body)), _MAX_RESPONSE_BYTES)
        for item in _parse_items(answer, request.n):
            content = _inline_content(item)
            yield ImageCompleted(content if content is not None else await self._download(item), "image/png")

    def _requests_base64(self, model: str) -> bool:
        """Whether to request base64.

        OpenAI's newer models reject the field, compatible servers need it.
        """
        if self._response_format is not None:
            return bool(self._response_format == "b64_json")
        name = model.rpartition("/")[2]
        if name.startswith(("gpt-image", "chatgpt-image")):
            return False
        return name.startswith("dall-e") or not self._is_official

    async def _download(self, item: dict[str, Any]) -> bytes:
        """Download the image of an item.

        Raises UpstreamBroken if it has no URL on an allowed host.
        """
        try:
            url = httpx.URL(item["url"])
        except (KeyError, TypeError, httpx.InvalidURL) as error:
            raise UpstreamBroken("The provider returned no image.") from error
        same_origin = (url.scheme, url.host, url.port) == (self._url.scheme, self._url.host, self._url.port)
        if not same_origin and not (url.scheme == "https" and url.host.lower() in self._image_hosts):
            raise UpstreamBroken(
                "The provider returned an image URL on another host. "
                "An administrator can allow the host in the provider's options.image_hosts."
            )
        response = await exchange.send(
            self.http, httpx.Request("GET", url, extensions=dict(self._extensions))
        )
        try:
            content = await exchange.read_body(response, _MAX_IMAGE_BYTES)
        finally:
            await response.aclose()
        if not content:
            raise UpstreamBroken("The provider returned no image.")
        return content


def _body(request: ImageRequest) -> dict[str, Any]:
    for field in ("workflow", "seed", "placeholders"):
        if getattr(request, field) not in (None, "", {}):
            raise UnsupportedParameter(f"This provider does not support {field}.", param=field)
    body: dict[str, Any] = {"model": request.model, "prompt": merge_negative_prompt(request), "n": request.n}
    if request.width and request.height:
        body["size"] = f"{request.width}x{request.height}"
    elif request.width or request.height:
        raise UnsupportedParameter("Give both width and height, or neither.", param="width")
    return {**body, **request.rendering}


def _parse_items(body: bytes, requested: int) -> list[dict[str, Any]]:
    """Parse the items of a response.

    Raises UpstreamBroken if there are none, or too many.
    """
    try:
        items = orjson.loads(body)["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UpstreamBroken from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UpstreamBroken
    if not items or len(items) > requested:
        raise UpstreamBroken("The provider returned no image.")
    return items


def _inline_content(item: dict[str, Any]) -> bytes | None:
    """Return the image inside the item, also of a `data:` URL.

    Returns None if it has only an http(s) URL.
    """
    encoded = item.get("b64_json") or item.get("url")
    if not isinstance(encoded, str):
        raise UpstreamBroken("The provider returned no image.")
    if encoded.startswith("data:"):
        prefix, comma, encoded = encoded.partition(",")
        if not comma or not prefix.endswith(";base64"):
            raise UpstreamBroken
    elif not item.get("b64_json"):
        return None
    try:
        content = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise UpstreamBroken from error
    if not content:
        raise UpstreamBroken("The provider returned no image.")
    return content
