"""Clients for images."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from gateway.client.models import Image, Images
from gateway.client.transport import ApiRequest, AsyncTransport, SyncTransport, client_options


def _generate_request(prompt: str, options: dict[str, Any]) -> ApiRequest:
    body = {"prompt": prompt, **{name: value for name, value in options.items() if value is not None}}
    return ApiRequest(
        "POST", "/api/v1/media/image/generate", body, {"idempotency-key": uuid4().hex}, repeatable=True
    )


def _fetch_request(image: Image | str) -> ApiRequest:
    return ApiRequest("GET", image if isinstance(image, str) else image.url, repeatable=True)


class MediaGatewayClient:
    """Synchronous client; arguments and errors as in `LLMGatewayClient`."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        token: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int = 2,
        http: httpx.Client | None = None,
    ) -> None:
        client = http or httpx.Client(**client_options(base_url, api_key, token, timeout))
        self._transport = SyncTransport(client, max_retries)

    def generate_image(self, prompt: str, **options: Any) -> Images:
        """Generate images.

        Options: negative_prompt, width, height, seed, workflow, provider, n.
        """
        return Images.model_validate_json(self._transport.request(_generate_request(prompt, options)).content)

    def fetch(self, image: Image | str) -> bytes:
        """Return the bytes of a stored image, given by its result or path."""
        return self._transport.request(_fetch_request(image)).content

    def close(self) -> None:
        self._transport.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncMediaGatewayClient:
    """Asynchronous client with the same methods; see `MediaGatewayClient`."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        token: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int = 2,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        client = http or httpx.AsyncClient(**client_options(base_url, api_key, token, timeout))
        self._transport = AsyncTransport(client, max_retries)

    async def generate_image(self, prompt: str, **options: Any) -> Images:
        response = await self._transport.request(_generate_request(prompt, options))
        return Images.model_validate_json(response.content)

    async def fetch(self, image: Image | str) -> bytes:
        return (await self._transport.request(_fetch_request(image))).content

    async def aclose(self) -> None:
        await self._transport.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
