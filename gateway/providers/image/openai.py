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
from gateway.providers.chat.openai_headers import headers_of
from gateway.providers.image.base import ImageProvider, in_one

_MAX_ANSWER = 192 * 1024 * 1024
_MAX_PICTURE = 64 * 1024 * 1024


class OpenAIImages(ImageProvider):
    """`base_url` includes `/v1`; `options.headers` are sent with every call.

    Pictures are wanted in the answer. One that comes as an address is fetched from the provider's own origin
    or from a host of `options.image_hosts`, since an answer must not send the gateway anywhere else.
    `options.response_format` (`b64_json`, `none`) says whether to ask for base64; else it goes by the model.
    """

    type = "openai"
    renders = frozenset({"quality", "output_format", "output_compression", "background", "style"})

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._url = httpx.URL(f"{wire.base_url_of(config.base_url, DEFAULT_BASE_URL)}/images/generations")
        self._headers = headers_of(config)
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}
        self._format = config.options.get("response_format")
        if self._format not in (None, "b64_json", "none"):
            raise ValueError("options.response_format is `b64_json` or `none`")
        hosts = config.options.get("image_hosts") or ()
        if isinstance(hosts, str) or not all(isinstance(host, str) for host in hosts):
            raise ValueError("options.image_hosts is a list of host names")
        self._hosts = frozenset(host.lower() for host in hosts)

    @property
    def configured(self) -> bool:
        return bool(self.config.api_key or self.config.base_url)

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        body = _body(request)
        if self._wants_base64(request.model):
            body["response_format"] = "b64_json"
        call = httpx.Request(
            "POST",
            self._url,
            headers=self._headers,
            content=orjson.dumps(body),
            extensions=dict(self._extensions),
        )
        for item in _items(await self._answer(call), request.n):
            content = _content(item)
            yield ImageDone(content if content is not None else await self._fetched(item), "image/png")

    async def _answer(self, call: httpx.Request) -> bytes:
        response = await wire.send(self.http, call)
        try:
            wire.expect_type(response, "json")
            return await wire.whole(response, _MAX_ANSWER)
        finally:
            await response.aclose()

    def _wants_base64(self, model: str) -> bool:
        """OpenAI's newer models always answer in base64 and refuse the field; compatible servers need it."""
        if self._format is not None:
            return bool(self._format == "b64_json")
        name = model.rpartition("/")[2]
        if name.startswith(("gpt-image", "chatgpt-image")):
            return False
        return name.startswith("dall-e") or self._url.host != "api.openai.com"

    async def _fetched(self, item: dict[str, Any]) -> bytes:
        """The picture at the item's address; raises UpstreamBroken where that is none to be fetched."""
        try:
            url = httpx.URL(item["url"])
        except (KeyError, TypeError, httpx.InvalidURL) as error:
            raise UpstreamBroken("The provider ended without a picture.") from error
        same = (url.scheme, url.host, url.port) == (self._url.scheme, self._url.host, self._url.port)
        if not same and not (url.scheme == "https" and url.host.lower() in self._hosts):
            raise UpstreamBroken(
                "The provider gave a picture by an address on another host. "
                "An administrator can allow the host in the provider's options.image_hosts."
            )
        response = await wire.send(self.http, httpx.Request("GET", url, extensions=dict(self._extensions)))
        try:
            content = await wire.whole(response, _MAX_PICTURE)
        finally:
            await response.aclose()
        if not content:
            raise UpstreamBroken("The provider ended without a picture.")
        return content


def _body(request: ImageRequest) -> dict[str, Any]:
    for field in ("workflow", "seed", "placeholders"):
        if getattr(request, field) not in (None, "", {}):
            raise UnsupportedParameter(f"This provider takes no {field}.", param=field)
    body: dict[str, Any] = {"model": request.model, "prompt": in_one(request), "n": request.n}
    if request.width and request.height:
        body["size"] = f"{request.width}x{request.height}"
    elif request.width or request.height:
        raise UnsupportedParameter("Give both width and height, or neither.", param="width")
    return {**body, **request.rendering}


def _items(answer: bytes, wanted: int) -> list[dict[str, Any]]:
    """The pictures of an answer; UpstreamBroken where there are none, or too many."""
    try:
        items = orjson.loads(answer)["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UpstreamBroken from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UpstreamBroken
    if not items or len(items) > wanted:
        raise UpstreamBroken("The provider ended without a picture.")
    return items


def _content(item: dict[str, Any]) -> bytes | None:
    """The picture that the item holds itself, also as a `data:` address; None where it only names one."""
    given = item.get("b64_json") or item.get("url")
    if not isinstance(given, str):
        raise UpstreamBroken("The provider ended without a picture.")
    if given.startswith("data:"):
        kind, comma, given = given.partition(",")
        if not comma or not kind.endswith(";base64"):
            raise UpstreamBroken
    elif not item.get("b64_json"):
        return None
    try:
        content = base64.b64decode(given, validate=True)
    except (ValueError, binascii.Error) as error:
        raise UpstreamBroken from error
    if not content:
        raise UpstreamBroken("The provider ended without a picture.")
    return content
