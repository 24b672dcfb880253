"""Pictures for the tools of a turn, made on the account of whoever asked the question."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing

from gateway.core.exceptions import GatewayError
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.catalog import Catalog
from gateway.domain.images import GeneratedImage, GenerateImage, ImageRequest
from gateway.providers.base import ChatProvider
from gateway.services.generation.images import ImageGenerationService, ImageOrder, ImagesGenerated
from gateway.tools.base import ToolError, TurnServices

MAX_IMAGES_PER_TURN = 4


def images_available(catalog: Catalog, providers: Mapping[str, ChatProvider]) -> bool:
    """Whether chats may have pictures made: by a configured default, or by a model that is no mock."""
    if catalog.media.default is not None or catalog.mode == "mock":
        return True
    return any(
        "images" in model.capabilities
        and any(providers[name].configured and providers[name].type != "mock" for name in model.providers)
        for model in catalog.models.values()
    )


class ImageToolBinding:
    """Says what the tools of one turn may have done; keys need the scope `images` for it.

    A turn has at most `MOST_A_TURN` pictures, those that failed counted too.
    """

    def __init__(self, media: ImageGenerationService) -> None:
        self._media = media

    def for_turn(self, principal: Principal, request_id: str) -> TurnServices:
        """The services of a turn of this caller."""
        if "images" not in principal.scopes:
            return TurnServices(str(principal.user_id))
        return TurnServices(str(principal.user_id), self._image_function(principal, request_id))

    def _image_function(self, principal: Principal, request_id: str) -> GenerateImage:
        ordered = 0

        async def draw(request: ImageRequest) -> GeneratedImage:
            nonlocal ordered
            if ordered >= MAX_IMAGES_PER_TURN:
                # A model that goes on and on would spend a month's money in one turn.
                raise ToolError(
                    f"At most {MAX_IMAGES_PER_TURN} images are made in one turn; answer with what there is.",
                    kind="too_many",
                )
            ordered += 1
            made = await self._generate(ImageOrder(request, None), principal, request_id)
            image = made.images[0]
            return GeneratedImage(image.url, image.width, image.height, made.model, made.cost_usd)

        return draw

    async def _generate(self, order: ImageOrder, principal: Principal, request_id: str) -> ImagesGenerated:
        """Closing the events early, as a cancelled turn does, calls the work off."""
        async with aclosing(self._media.generate(order, principal, request_id, in_turn=True)) as events:
            async for event in events:
                if isinstance(event, ImagesGenerated):
                    return event
        raise GatewayError("The picture was not made.")
