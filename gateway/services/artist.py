"""Pictures for the tools of a turn, made on the account of whoever asked the question."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing

from gateway.core.exceptions import GatewayError
from gateway.domain.catalog import Catalog
from gateway.domain.images import Draw, Drawing, ImageRequest
from gateway.domain.principal import Principal
from gateway.providers.chat.base import ChatProvider
from gateway.services.media import MediaService, Order, PicturesMade
from gateway.tools.base import ToolError, TurnServices

MOST_A_TURN = 4


def draws(catalog: Catalog, providers: Mapping[str, ChatProvider]) -> bool:
    """Whether chats may have pictures made: by a configured default, or by a model that is no mock."""
    if catalog.media.default is not None or catalog.mode == "mock":
        return True
    return any(
        "images" in model.capabilities
        and any(providers[name].configured and providers[name].type != "mock" for name in model.providers)
        for model in catalog.models.values()
    )


class Artist:
    """Says what the tools of one turn may have done; keys need the scope `images` for it.

    A turn has at most `MOST_A_TURN` pictures, those that failed counted too.
    """

    def __init__(self, media: MediaService) -> None:
        self._media = media

    def for_turn(self, principal: Principal, request_id: str) -> TurnServices:
        """The services of a turn of this caller."""
        if "images" not in principal.scopes:
            return TurnServices(str(principal.user_id))
        return TurnServices(str(principal.user_id), self._draw(principal, request_id))

    def _draw(self, principal: Principal, request_id: str) -> Draw:
        ordered = 0

        async def draw(request: ImageRequest) -> Drawing:
            nonlocal ordered
            if ordered >= MOST_A_TURN:
                # A model that goes on and on would spend a month's money in one turn.
                raise ToolError(
                    f"At most {MOST_A_TURN} pictures are made in one turn; answer with what there is.",
                    kind="too_many",
                )
            ordered += 1
            made = await self._made(Order(request, None), principal, request_id)
            image = made.images[0]
            return Drawing(image.address, image.width, image.height, made.model, made.cost_usd)

        return draw

    async def _made(self, order: Order, principal: Principal, request_id: str) -> PicturesMade:
        """Closing the events early, as a cancelled turn does, calls the work off."""
        async with aclosing(self._media.generate(order, principal, request_id, in_turn=True)) as events:
            async for event in events:
                if isinstance(event, PicturesMade):
                    return event
        raise GatewayError("The picture was not made.")
