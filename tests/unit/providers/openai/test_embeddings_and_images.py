"""Embeddings and images of OpenAI-compatible servers: requests, and accepted responses."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.core.exceptions import UnsupportedParameter, UpstreamBroken, UpstreamRejected
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.embeddings import EmbeddingRequest, Embeddings
from gateway.domain.images import ImageRequest
from gateway.providers.http.client import upstream_client
from gateway.providers.ollama.embeddings import OllamaEmbeddings
from gateway.providers.openai.embeddings import OpenAIEmbeddings
from gateway.providers.openai.images import OpenAIImages
from tests.support.upstreams.http_server import ReceivedCall
from tests.support.upstreams.ollama_server import OllamaUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream, Raw, Refusal, Reply

PNG = b"\x89PNG\r\n\x1a\n an image"
INLINE = base64.b64encode(PNG).decode()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


class ImagesUpstream(OpenAIUpstream):
    """Its images can be downloaded from `/v1/files/…`."""

    def lookup(self, call: ReceivedCall) -> bytes | None:
        return PNG if call.method == "GET" else None


@pytest.fixture
async def upstream() -> AsyncIterator[ImagesUpstream]:
    async with ImagesUpstream() as server:
        yield server


def config(upstream: OpenAIUpstream, **options: Any) -> ProviderConfig:
    return ProviderConfig(type="openai", base_url=upstream.url, api_key="sk-1", options=options)


def embedder(upstream: OpenAIUpstream, http: httpx.AsyncClient, **options: Any) -> OpenAIEmbeddings:
    return OpenAIEmbeddings("up", config(upstream, **options), Timeouts(), http)


def answer(*vectors: Any, **more: Any) -> Raw:
    items = [{"object": "embedding", "embedding": vector} for vector in vectors]
    return Raw([json.dumps({"object": "list", "data": items, **more}).encode()], "application/json")


HEADERS = {"headers": {"Api-Key": "k", "Authorization": "Basic x"}}


async def test_headers_and_key_are_sent_with_every_kind_of_call(
    upstream: ImagesUpstream, http: httpx.AsyncClient
) -> None:
    await embedder(upstream, http, **HEADERS).embed(EmbeddingRequest("m", ("a",)))
    upstream.script(Raw([json.dumps({"data": [{"b64_json": INLINE}]}).encode()], "application/json"))
    images = OpenAIImages("up", config(upstream, **HEADERS), Timeouts(), http)
    assert [event async for event in images.generate(ImageRequest("m", "a cat"))]
    for call in upstream.calls:
        assert (call.headers["api-key"], call.headers["authorization"]) == ("k", "Basic x")
    upstream.script(Reply())
    await embedder(upstream, http).embed(EmbeddingRequest("m", ("a",)))
    assert upstream.calls[-1].headers["authorization"] == "Bearer sk-1"


async def test_ollama_gets_its_key(http: httpx.AsyncClient) -> None:
    async with OllamaUpstream() as server:
        given = ProviderConfig(type="ollama", base_url=server.url, api_key="secret")
        await OllamaEmbeddings("o", given, Timeouts(), http).embed(EmbeddingRequest("m", ("a",)))
        assert server.calls[0].headers["authorization"] == "Bearer secret"


async def test_base64_is_requested_only_if_the_client_does(
    upstream: ImagesUpstream, http: httpx.AsyncClient
) -> None:
    made = embedder(upstream, http)
    await made.embed(EmbeddingRequest("m", ("a",)))
    await made.embed(EmbeddingRequest("m", ("a",), as_base64=True))
    assert [call.body.get("encoding_format") for call in upstream.calls] == [None, "base64"]


async def test_a_server_that_rejects_base64_is_asked_for_numbers(
    upstream: ImagesUpstream, http: httpx.AsyncClient
) -> None:
    made = embedder(upstream, http)
    upstream.script(Refusal(400), Reply(), Reply())
    for _ in range(2):
        vectors = await made.embed(EmbeddingRequest("m", ("ab",), as_base64=True))
        assert vectors.vectors.shape == (1, 4)
    assert [call.body.get("encoding_format") for call in upstream.calls] == ["base64", None, None]


async def test_a_rejection_without_base64_is_the_callers_error(
    upstream: ImagesUpstream, http: httpx.AsyncClient
) -> None:
    made = embedder(upstream, http)
    upstream.script(Refusal(400), Refusal(400), Reply())
    with pytest.raises(UpstreamRejected):
        await made.embed(EmbeddingRequest("m", ("a",), as_base64=True))
    await made.embed(EmbeddingRequest("m", ("a",), as_base64=True))
    upstream.script(Refusal(400))
    with pytest.raises(UpstreamRejected):
        await made.embed(EmbeddingRequest("m", ("a",), as_base64=True))
    assert [call.body.get("encoding_format") for call in upstream.calls] == [
        "base64",
        None,
        "base64",
        "base64",
    ]


async def vectors_of(
    upstream: ImagesUpstream, http: httpx.AsyncClient, step: Raw, **fields: Any
) -> Embeddings:
    upstream.script(step)
    return await embedder(upstream, http).embed(EmbeddingRequest("m", **{"texts": ("a", "b"), **fields}))


async def test_items_without_an_index_are_in_order(upstream: ImagesUpstream, http: httpx.AsyncClient) -> None:
    made = await vectors_of(upstream, http, answer([1.0, 0.0], [0.0, 1.0]))
    assert made.vectors.tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("indexes", [(0, 0), (1, 2), (0, None), (True, False), ("0", "1")])
async def test_invalid_indexes_are_a_broken_response(
    upstream: ImagesUpstream, http: httpx.AsyncClient, indexes: tuple[Any, Any]
) -> None:
    items = [{"index": at, "embedding": [1.0, 2.0]} for at in indexes]
    with pytest.raises(UpstreamBroken):
        await vectors_of(upstream, http, Raw([json.dumps({"data": items}).encode()], "application/json"))


async def test_ignored_dimensions_are_truncated_and_too_few_are_reported(
    upstream: ImagesUpstream, http: httpx.AsyncClient
) -> None:
    made = await vectors_of(upstream, http, answer([3.0, 4.0, 9.0], [0.0, 2.0, 9.0]), dimensions=2)
    assert np.allclose(made.vectors, [[0.6, 0.8], [0.0, 1.0]])
    with pytest.raises(UnsupportedParameter) as refused:
        await vectors_of(upstream, http, answer([3.0, 4.0], [0.0, 2.0]), dimensions=3)
    assert refused.value.param == "dimensions"


async def test_tokens_and_unknown_fields_are_passed_on(
    upstream: ImagesUpstream, http: httpx.AsyncClient
) -> None:
    made = await vectors_of(
        upstream,
        http,
        answer([1.0], [2.0]),
        texts=(),
        tokens=((1, 2), (3,)),
        extra={"input_type": "query", "model": "other"},
    )
    assert upstream.calls[0].body == {"model": "m", "input": [[1, 2], [3]], "input_type": "query"}
    assert made.prompt_tokens == 3


async def pictures_of(
    upstream: ImagesUpstream, http: httpx.AsyncClient, item: Any, model: str = "flux", **options: Any
) -> list[bytes]:
    upstream.script(Raw([json.dumps({"data": [item]}).encode()], "application/json"))
    images = OpenAIImages("up", config(upstream, **options), Timeouts(), http)
    request = ImageRequest(model, "a cat", rendering={"quality": "high"})
    return [event.content async for event in images.generate(request) if hasattr(event, "content")]


@pytest.mark.parametrize(
    ("model", "options", "wanted"),
    [
        ("dall-e-3", {}, "b64_json"),
        ("flux", {}, "b64_json"),
        ("gpt-image-1", {}, None),
        ("openai/gpt-image-1-mini", {}, None),
        ("flux", {"response_format": "none"}, None),
        ("gpt-image-1", {"response_format": "b64_json"}, "b64_json"),
    ],
)
async def test_base64_images_are_requested_from_servers_that_return_urls(
    upstream: ImagesUpstream, http: httpx.AsyncClient, model: str, options: dict[str, Any], wanted: str | None
) -> None:
    assert await pictures_of(upstream, http, {"b64_json": INLINE}, model, **options) == [PNG]
    assert upstream.calls[0].body.get("response_format") == wanted
    assert upstream.calls[0].body["quality"] == "high"


@pytest.mark.parametrize("field", ["b64_json", "url"])
async def test_a_data_url_is_an_image(upstream: ImagesUpstream, http: httpx.AsyncClient, field: str) -> None:
    given = {field: f"data:image/png;base64,{INLINE}"}
    assert await pictures_of(upstream, http, given) == [PNG]


async def test_an_image_url_of_the_providers_origin_is_downloaded(
    upstream: ImagesUpstream, http: httpx.AsyncClient
) -> None:
    assert await pictures_of(upstream, http, {"url": f"{upstream.url}/files/1.png"}) == [PNG]
    [fetched] = upstream.lookups
    assert "authorization" not in fetched.headers


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:1/x.png", "http://169.254.169.254/latest", "https://cdn.example/x.png"),
        *("file:///etc/passwd", "//cdn.example/x.png", "not a url", "", 7, None),
    ],
)
async def test_no_other_image_url_is_downloaded(
    upstream: ImagesUpstream, http: httpx.AsyncClient, url: Any
) -> None:
    with pytest.raises(UpstreamBroken):
        await pictures_of(upstream, http, {"url": url})
    with pytest.raises(UpstreamBroken):  # nor from an allowed host without TLS
        await pictures_of(upstream, http, {"url": "http://cdn.example/x"}, image_hosts=["cdn.example"])
    assert upstream.lookups == []


@pytest.mark.parametrize("options", [{"response_format": "url"}, {"image_hosts": "cdn.example"}])
def test_invalid_options_are_rejected(options: dict[str, Any]) -> None:
    given = ProviderConfig(type="openai", base_url="http://localhost/v1", options=options)
    with pytest.raises(ValueError, match=next(iter(options))):
        OpenAIImages("up", given, Timeouts(), httpx.AsyncClient())
