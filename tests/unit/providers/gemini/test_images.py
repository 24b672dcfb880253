"""Images from Gemini: generated and blocked ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.exceptions import GatewayError, UpstreamBroken, UpstreamRejected
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.images import ImageCompleted, ImageRequest
from gateway.providers.gemini.images import GeminiImages
from gateway.providers.http.client import upstream_client
from tests.support.upstreams.gemini_server import GeminiUpstream
from tests.support.upstreams.http_server import Raw

PNG = "iVBORw0KGgo="
DRAWN = {"content": {"parts": [{"text": "Here"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]}}


async def drawn(answer: Any) -> tuple[list[ImageCompleted], dict[str, str]]:
    """Return the images of the response, and the headers of the call."""
    options = {"headers": {"X-Tunnel": "abc"}}
    async with upstream_client(trust_env=False) as http, GeminiUpstream() as up:
        up.script(Raw([json.dumps(answer).encode()], content_type="application/json"))
        given = ProviderConfig(type="gemini", base_url=up.url, api_key="k", options=options)
        images = GeminiImages("g", given, Timeouts(), http)
        events = [event async for event in images.generate(ImageRequest("m", "a cat"))]
        return [event for event in events if isinstance(event, ImageCompleted)], up.calls[0].headers


async def test_an_image_is_generated_with_configured_headers() -> None:
    images, headers = await drawn({"candidates": [DRAWN | {"finishReason": "STOP"}]})
    assert len(images) == 1
    assert (headers["x-goog-api-key"], headers["x-tunnel"]) == ("k", "abc")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"candidates": [{"finishReason": "IMAGE_SAFETY"}]}, UpstreamRejected),
        ({"candidates": [{"finishReason": "IMAGE_PROHIBITED_CONTENT", "content": {}}]}, UpstreamRejected),
        ({"candidates": [{"finishReason": "IMAGE_RECITATION"}]}, UpstreamRejected),
        ({"candidates": [{"finishReason": "SAFETY", "content": {"parts": []}}]}, UpstreamRejected),
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, UpstreamRejected),
        ({"candidates": [{"finishReason": "NO_IMAGE"}]}, UpstreamBroken),
        ({"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "No"}]}}]}, UpstreamBroken),
        ({"candidates": [{"finishReason": 7}]}, UpstreamBroken),
        ({"candidates": 5}, UpstreamBroken),
        ([], UpstreamBroken),
    ],
)
async def test_a_blocked_image_is_a_rejected_request(answer: Any, kind: type[GatewayError]) -> None:
    with pytest.raises(GatewayError) as caught:
        await drawn(answer)
    assert type(caught.value) is kind
