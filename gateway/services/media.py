"""Pictures: reserved, made, looked at, kept and charged, in this order; and given back to their owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import structlog

from gateway.agent.upstreams import Upstreams
from gateway.core.blob_store import BlobStore
from gateway.core.exceptions import (
    Unavailable,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamTimeout,
    ValidationFailed,
)
from gateway.core.ids import new_id
from gateway.domain.budget import Estimate
from gateway.domain.catalog import Catalog
from gateway.domain.images import ImageDone, ImageProgress, ImageRequest, StoredImage
from gateway.domain.ledger import UsageEntry, UsageOwner
from gateway.domain.principal import Principal
from gateway.domain.usage import Usage
from gateway.providers.image.base import ImageProvider
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.asking import Asking
from gateway.services.capable import capable_models
from gateway.services.ledger import Ledger
from gateway.services.pictures import inspect
from gateway.services.turns import INTERRUPTED, RunningTurn, TurnTasks

log = structlog.get_logger(__name__)


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


class MediaService:
    """A request makes all its pictures or none; what is not delivered is neither kept nor charged."""

    def __init__(
        self,
        catalog: Catalog,
        providers: Mapping[str, ImageProvider],
        upstreams: Upstreams,
        ledger: Ledger,
        tasks: TurnTasks,
        uow: Callable[[], UnitOfWork],
        store: BlobStore,
    ) -> None:
        self._catalog = catalog
        self._providers = providers
        self._upstreams = upstreams
        self._ledger = ledger
        self._tasks = tasks
        self._uow = uow
        self._store = store

    async def generate(
        self, order: Order, principal: Principal, request_id: str
    ) -> AsyncGenerator[MediaEvent, None]:
        """Progress, then exactly one `PicturesMade`.

        The work is done in a task of its own; closing the iterator early calls it off, and it is settled.

        Raises:
            ValidationFailed: sizes out of bounds. ModelNotFound, UnsupportedParameter: nobody can do it.
            QuotaExceeded, BudgetExceeded: nothing was asked. CircuitOpen, UpstreamError: nobody did it.
        """
        self._tasks.admit()
        self._check(order.request)
        models = self._models(order, principal)
        price = max(self._catalog.price_of(model).image for model in models)
        reservation = await self._ledger.reserve(principal, Estimate(0, price * order.request.n))
        events: asyncio.Queue[MediaEvent | BaseException] = asyncio.Queue()

        async def work(running: RunningTurn) -> None:
            try:
                made = await self._settled(
                    order, models, principal, request_id, reservation, running, events.put_nowait
                )
                events.put_nowait(made)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - handed to who waits for it
                events.put_nowait(error)

        running = self._tasks.start(work, owner=principal)
        try:
            while True:
                event = await events.get()
                if isinstance(event, BaseException):
                    raise _named(event)
                yield event
                if isinstance(event, PicturesMade):
                    return
        finally:
            running.cancel()

    def _check(self, request: ImageRequest) -> None:
        bounds = self._catalog.media
        for field in ("width", "height"):
            pixels = getattr(request, field)
            if pixels is not None and not 16 <= pixels <= bounds.max_side:
                raise ValidationFailed(f"Between 16 and {bounds.max_side} pixels.", param=field)
        if not 1 <= request.n <= bounds.max_count:
            raise ValidationFailed(f"Between 1 and {bounds.max_count} pictures.", param="n")

    def _models(self, order: Order, principal: Principal) -> tuple[str, ...]:
        name = order.model or self._default(order.provider)
        models = capable_models(self._catalog, name, principal, "images", self._usable)
        if order.provider is not None:
            models = tuple(m for m in models if order.provider in self._catalog.models[m].providers)
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
        ready = [name for name in able if self._usable(name)]
        if not able:
            raise UnsupportedParameter(
                "No model of the configuration makes pictures."
                if provider is None
                else "No provider of this name makes pictures.",
                param="model" if provider is None else "provider",
            )
        return (ready or able)[0]

    def _usable(self, model: str) -> bool:
        return any(
            name in self._providers and self._providers[name].configured
            for name in self._catalog.models[model].providers
        )

    async def _settled(
        self,
        order: Order,
        models: tuple[str, ...],
        principal: Principal,
        request_id: str,
        reservation: UUID | None,
        running: RunningTurn,
        tell: Callable[[ImageProgress], None],
    ) -> PicturesMade:
        """Ask, keep, charge; every way out settles the reservation."""
        asking = Asking(self._upstreams, "image")
        calls = asking.calls
        owner = UsageOwner(principal.user_id, request_id, principal.api_key_id)

        async def ask(model: str, provider: str) -> tuple[list[ImageDone], Usage, Decimal]:
            request = replace(order.request, model=self._catalog.models[model].model)
            pictures = await self._collect(self._providers[provider], request, tell)
            return pictures, Usage(), self._catalog.price_of(model).image * len(pictures)

        try:
            pictures = await asking.first_answer(models, ask)
            kept = await self._keep(pictures, order.request, calls[-1])
            running.begin_settling()
            async with self._uow() as uow:
                await uow.images.add(principal.user_id, request_id, kept)
        except BaseException:
            calls = [replace(call, cost_usd=Decimal(0)) for call in calls]
            raise
        finally:
            running.called_off()
            running.begin_settling()
            asking.count()
            await self._ledger.settle(owner, calls, reservation)
        answered = calls[-1]
        return PicturesMade(
            kept,
            answered.model,
            answered.provider,
            kept[0].seed,
            answered.cost_usd,
            request_id,
            fallback_from=models[0] if answered.model != models[0] else None,
        )

    async def _collect(
        self, provider: ImageProvider, request: ImageRequest, tell: Callable[[ImageProgress], None]
    ) -> list[ImageDone]:
        limits = self._catalog.timeouts
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
        if not pictures:
            raise UpstreamBroken("The provider ended without a picture.")
        return pictures

    async def _keep(
        self, pictures: list[ImageDone], request: ImageRequest, call: UsageEntry
    ) -> tuple[StoredImage, ...]:
        """Look at every picture before the first is kept."""
        most = self._catalog.media.max_bytes
        seen = [await asyncio.to_thread(inspect, picture.content, most) for picture in pictures]
        kept: list[StoredImage] = []
        for picture, (content_type, width, height) in zip(pictures, seen, strict=True):
            try:
                digest = await self._store.put(picture.content)
            except OSError as error:
                log.error("image_not_stored", error=type(error).__name__, errno=error.errno)
                raise Unavailable("The picture cannot be stored at the moment.") from error
            kept.append(
                StoredImage(
                    id=new_id(),
                    digest=digest,
                    content_type=content_type,
                    width=width,
                    height=height,
                    size=len(picture.content),
                    prompt=request.prompt,
                    model=call.model,
                    provider=call.provider,
                    seed=picture.seed,
                    created_at=datetime.now(UTC),
                )
            )
        return tuple(kept)


def _named(error: BaseException) -> BaseException:
    """A cancellation from outside (the gateway stops, the account ended) as an error for who waits."""
    if isinstance(error, asyncio.CancelledError):
        if INTERRUPTED in error.args:
            return Unavailable("The gateway is restarting; ask again.", retry_after=5)
        return Unavailable("The request was called off.")
    return error
