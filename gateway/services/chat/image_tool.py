"""Lets the tools of a turn generate images, charged to the caller's account."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace

from gateway.core.exceptions import GatewayError
from gateway.domain.config.catalog import Catalog
from gateway.domain.images import GeneratedImage, GenerateImage, ImageRequest
from gateway.domain.requests import RequestScope
from gateway.providers.base import Provider
from gateway.services.generation.images import ImageGenerationService, ImageOrder, ImagesGenerated
from gateway.tools.base import ToolError, TurnServices

MAX_IMAGES_PER_TURN = 4


def images_available(catalog: Catalog, providers: Mapping[str, Provider]) -> bool:
    """Return whether an image model is configured that chats may use."""
    if catalog.media.default is not None or catalog.mode == "mock":
        return True
    return any(
        "images" in model.capabilities
        and any(providers[name].configured and providers[name].type != "mock" for name in model.providers)
        for model in catalog.models.values()
    )


class ImageToolBinding:
    """Creates the image function of each turn.

    API keys need the scope `images` for it. A turn may request `MAX_IMAGES_PER_TURN` images, failed ones
    included.
    """

    def __init__(self, media: ImageGenerationService) -> None:
        self._media = media

    def for_turn(self, scope: RequestScope) -> TurnServices:
        """Return the resources that the tools of the principal's turn may use."""
        user_id = str(scope.principal.user_id)
        if "images" not in scope.principal.scopes:
            return TurnServices(user_id)
        return TurnServices(user_id, self._image_function(scope))

    def _image_function(self, scope: RequestScope) -> GenerateImage:
        requested = 0

        async def generate_image(request: ImageRequest) -> GeneratedImage:
            nonlocal requested
            if requested >= MAX_IMAGES_PER_TURN:
                # A model that never stops would spend a month's budget in one turn.
                raise ToolError(
                    f"A turn may generate at most {MAX_IMAGES_PER_TURN} images. Answer with those there are.",
                    kind="too_many",
                )
            requested += 1
            generated = await self._generate(ImageOrder(request, None), scope)
            image = generated.images[0]
            return GeneratedImage(image.url, image.width, image.height, generated.model, generated.cost_usd)

        return generate_image

    async def _generate(self, order: ImageOrder, scope: RequestScope) -> ImagesGenerated:
        """Generate one image.

        Closing the iterator early, as a cancelled turn does, cancels the work.
        """
        events = self._media.generate(order, replace(scope, disconnected=None), in_turn=True)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, ImagesGenerated):
                    return event
        raise GatewayError("No image was generated.")
