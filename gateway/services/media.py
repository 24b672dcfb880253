"""Pictures on order: reserved, made, looked at, kept and charged, in this order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from gateway.agent.recovery.upstreams import Upstreams
from gateway.core.exceptions import (
    GatewayError,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamTimeout,
    ValidationFailed,
)
from gateway.domain.budget import Estimate
from gateway.domain.catalog import Catalog
from gateway.domain.images import ImageDone, ImageProgress, ImageRequest, StoredImage
from gateway.domain.ledger import UsageOwner
from gateway.domain.principal import Principal
from gateway.domain.usage import Usage
from gateway.providers.image.base import ImageProvider
from gateway.services.asking import Asking, named
from gateway.services.capable import capable_models
from gateway.services.departure import Departure
from gateway.services.images import ImageService
from gateway.services.ledger import Ledger
from gateway.services.turns import RunningTurn, TurnTasks


@dataclass(frozen=True, slots=True)
class PicturesMade:
    """What a request brought; `fallback_from` is the first model where another one made them."""

    images: tuple[StoredImage, ...]
    model: str
    provider: str
    seed: int | None
    cost_usd: Decimal
    request_id: str
    fallback_from: str | None = None


MediaEvent = ImageProgress | PicturesMade


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for; `provider` narrows the choice to models of that provider."""

    request: ImageRequest
    model: str | None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    """An order that was admitted: by whom, which models may do it, what is held for it."""

    order: Order
    models: tuple[str, ...]
    first: str
    owner: UsageOwner
    reservation: UUID | None


class MediaService:
    """A request makes all its pictures or none; what is not delivered is neither kept nor charged."""

    def __init__(
        self,
        catalog: Catalog,
        providers: Mapping[str, ImageProvider],
        upstreams: Upstreams,
        ledger: Ledger,
        tasks: TurnTasks,
        images: ImageService,
    ) -> None:
        self._catalog = catalog
        self._providers = providers
        self._upstreams = upstreams
        self._ledger = ledger
        self._tasks = tasks
        self._images = images

    async def generate(
        self,
        order: Order,
        principal: Principal,
        request_id: str,
        gone: Callable[[], Awaitable[None]] | None = None,
        *,
        in_turn: bool = False,
    ) -> AsyncGenerator[MediaEvent, None]:
        """Progress, then exactly one `PicturesMade`.

        The work is done in a task of its own. Closing the iterator early calls it off, and so does `gone`,
        which returns once the client has left; what is being kept by then is kept. With `in_turn`, the
        request is part of a turn that holds a slot already, and needs none of its own.

        Raises:
            ValidationFailed: sizes out of bounds. ModelNotFound, UnsupportedParameter: nobody can do it.
            QuotaExceeded, BudgetExceeded: nothing was asked. CircuitOpen, UpstreamError: nobody did it.
            Unavailable: the pictures cannot be stored, or the work was called off.
        """
        slot = None if in_turn else await self._tasks.slot(principal)
        try:
            job = await self._admitted(order, principal, request_id)
        except BaseException:
            if slot is not None:
                slot.release()
            raise
        events: asyncio.Queue[MediaEvent | GatewayError] = asyncio.Queue()

        async def work(running: RunningTurn) -> None:
            try:
                events.put_nowait(await self._made(job, running, events.put_nowait))
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - handed to who waits for it
                events.put_nowait(named(error))

        running = self._tasks.start(work, owner=principal, slot=slot)
        departure = Departure(running, gone) if gone is not None else None
        try:
            while True:
                event = await events.get()
                if isinstance(event, GatewayError):
                    raise event
                yield event
                if isinstance(event, PicturesMade):
                    return
        finally:
            if departure is not None:
                departure.close()
            running.cancel()

    async def _admitted(self, order: Order, principal: Principal, request_id: str) -> _Job:
        self._check(order.request)
        name = order.model or self._default(order.provider)
        models = self._models(name, order.provider, principal)
        price = max(self._catalog.price_of(model).image for model in models)
        owner = UsageOwner(principal.user_id, request_id, principal.api_key_id)
        reservation = await self._ledger.reserve(principal, Estimate(0, price * order.request.n), stores=True)
        return _Job(order, models, self._catalog.models_of(name)[0], owner, reservation)

    def _check(self, request: ImageRequest) -> None:
        bounds = self._catalog.media
        for field in ("width", "height"):
            pixels = getattr(request, field)
            if pixels is not None and not 16 <= pixels <= bounds.max_side:
                raise ValidationFailed(f"Between 16 and {bounds.max_side} pixels.", param=field)
        if not 1 <= request.n <= bounds.max_count:
            raise ValidationFailed(f"Between 1 and {bounds.max_count} pictures.", param="n")

    def _models(self, name: str, provider: str | None, principal: Principal) -> tuple[str, ...]:
        models = capable_models(self._catalog, name, principal, "images", self._usable)
        if provider is not None:
            models = tuple(m for m in models if provider in self._catalog.models[m].providers)
            if not models:
                raise UnsupportedParameter("This provider makes no such pictures.", param="provider")
        return models

    def _default(self, provider: str | None) -> str:
        """The configured default, or the first model that makes pictures (of `provider`)."""
        if provider is None and self._catalog.media.default is not None:
            return self._catalog.media.default
        able = [
            name
            for name, model in self._catalog.models.items()
            if "images" in model.capabilities and (provider is None or provider in model.providers)
        ]
        if not able:
            raise UnsupportedParameter(
                "No model of the configuration makes pictures."
                if provider is None
                else "No provider of this name makes pictures.",
                param="model" if provider is None else "provider",
            )
        return next(filter(self._usable, able), able[0])

    def _usable(self, model: str) -> bool:
        return bool(self._upstreams.of(model))

    async def _made(
        self, job: _Job, running: RunningTurn, tell: Callable[[ImageProgress], None]
    ) -> PicturesMade:
        """Ask, keep, charge; every way out settles the reservation."""
        asked = job.order.request
        texts = [asked.prompt, asked.negative_prompt or "", *map(str, asked.placeholders.values())]

        def begun(model: str, provider: str) -> tuple[Usage, Decimal]:
            if self._providers[provider].stops_when_cancelled:
                return Usage(), Decimal(0)
            return Usage(), self._catalog.price_of(model).image * asked.n

        asking = Asking(self._upstreams, "image", job.first, begun, texts)

        async def ask(model: str, provider: str) -> tuple[list[ImageDone], Usage, Decimal]:
            request = replace(asked, model=self._catalog.models[model].model)
            if lacking := sorted(asked.rendering.keys() - self._providers[provider].renders):
                raise UnsupportedParameter("This model's provider does not take this.", param=lacking[0])
            pictures = await self._collect(self._providers[provider], request, tell)
            return pictures, Usage(), self._catalog.price_of(model).image * len(pictures)

        try:
            pictures = await asking.first_answer(job.models, ask)
            running.begin_settling()
            kept = await self._images.keep(
                job.owner.user_id, job.owner.request_id, pictures, asked.prompt, asking.calls[-1]
            )
        except BaseException:
            asking.forgive()
            raise
        finally:
            running.called_off()
            running.begin_settling()
            await asking.settle(self._ledger, job.owner, job.reservation)
        answered = asking.calls[-1]
        return PicturesMade(
            kept,
            answered.model,
            answered.provider,
            kept[0].seed,
            answered.cost_usd,
            job.owner.request_id,
            fallback_from=asking.fallback_from,
        )

    async def _collect(
        self, provider: ImageProvider, request: ImageRequest, tell: Callable[[ImageProgress], None]
    ) -> list[ImageDone]:
        limits = provider.timeouts
        pictures: list[ImageDone] = []
        try:
            async with (
                asyncio.timeout(limits.mock if provider.type == "mock" else limits.live),
                aclosing(provider.generate(request)) as events,
            ):
                async for event in events:
                    if isinstance(event, ImageDone):
                        pictures.append(event)
                    else:
                        tell(event)
        except TimeoutError as error:
            raise UpstreamTimeout from error
        if len(pictures) < request.n:
            raise UpstreamBroken("The provider ended without a picture, or without all of them.")
        return pictures
