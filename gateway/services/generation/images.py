"""Image generation: reserve, call a model, store the images, settle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from gateway.agent.routing.upstream_pool import UpstreamPool
from gateway.core.exceptions import (
    GatewayError,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamTimeout,
    ValidationFailed,
)
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.catalog import Catalog
from gateway.domain.images import ImageCompleted, ImageProgress, ImageRequest, StoredImage
from gateway.domain.money import Usage
from gateway.domain.usage.budgets import Estimate
from gateway.domain.usage.turn_records import UsageOwner
from gateway.providers.base import ImageProvider
from gateway.services.execution.disconnect import DisconnectWatcher
from gateway.services.execution.turn_tasks import TurnTask, TurnTaskRegistry
from gateway.services.generation.candidates import candidate_models
from gateway.services.generation.fallback_call import FallbackCall, as_gateway_error
from gateway.services.generation.image_library import ImageLibrary
from gateway.services.usage.ledger import Ledger


@dataclass(frozen=True, slots=True)
class ImagesGenerated:
    """The images of a request.

    `fallback_from` is the requested model if another one answered.
    """

    images: tuple[StoredImage, ...]
    model: str
    provider: str
    seed: int | None
    cost_usd: Decimal
    request_id: str
    fallback_from: str | None = None


ImageGenerationEvent = ImageProgress | ImagesGenerated


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """An image request and the requested model; `provider` restricts the candidates."""

    request: ImageRequest
    model: str | None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class _AdmittedOrder:
    """An admitted order: its owner, candidate models and reservation."""

    order: ImageOrder
    models: tuple[str, ...]
    requested_model: str
    owner: UsageOwner
    reservation_id: UUID | None


class ImageGenerationService:
    """Generates all images of a request or none.

    Images that are not delivered are not stored or charged.
    """

    def __init__(
        self,
        catalog: Catalog,
        providers: Mapping[str, ImageProvider],
        upstreams: UpstreamPool,
        ledger: Ledger,
        tasks: TurnTaskRegistry,
        library: ImageLibrary,
    ) -> None:
        self._catalog = catalog
        self._providers = providers
        self._upstreams = upstreams
        self._ledger = ledger
        self._tasks = tasks
        self._library = library

    async def generate(
        self,
        order: ImageOrder,
        principal: Principal,
        request_id: str,
        disconnected: Callable[[], Awaitable[None]] | None = None,
        *,
        in_turn: bool = False,
    ) -> AsyncGenerator[ImageGenerationEvent, None]:
        """Yield progress, then exactly one `ImagesGenerated`.

        The work runs in its own task. It is cancelled when the iterator is closed early or `disconnected`
        returns, but not once the images are being stored.

        Args:
            in_turn: the request is part of a turn that already holds a permit.

        Raises:
            ValidationFailed: a size is out of bounds.
            ModelNotFound, UnsupportedParameter: no model can serve the request.
            QuotaExceeded, BudgetExceeded: the limit is reached; no model was called.
            CircuitOpen, UpstreamError: no model succeeded.
            Unavailable: the images cannot be stored, or the work was cancelled.
        """
        permit = None if in_turn else await self._tasks.acquire_permit(principal)
        try:
            admitted = await self._admit(order, principal, request_id)
        except BaseException:
            if permit is not None:
                permit.release()
            raise
        events: asyncio.Queue[ImageGenerationEvent | GatewayError] = asyncio.Queue()

        async def work(running: TurnTask) -> None:
            try:
                events.put_nowait(await self._generate(admitted, running, events.put_nowait))
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - passed on to the consumer
                events.put_nowait(as_gateway_error(error))

        running = self._tasks.start(work, owner=principal, permit=permit)
        watcher = DisconnectWatcher(running, disconnected) if disconnected is not None else None
        try:
            while True:
                event = await events.get()
                if isinstance(event, GatewayError):
                    raise event
                yield event
                if isinstance(event, ImagesGenerated):
                    return
        finally:
            if watcher is not None:
                watcher.close()
            running.cancel()

    async def _admit(self, order: ImageOrder, principal: Principal, request_id: str) -> _AdmittedOrder:
        self._check_bounds(order.request)
        name = order.model or self._default_model(order.provider)
        models = self._candidates(name, order.provider, principal)
        price = max(self._catalog.price_of(model).image for model in models)
        owner = UsageOwner(principal.user_id, request_id, principal.api_key_id)
        reservation_id = await self._ledger.reserve(
            principal, Estimate(0, price * order.request.n), stores_data=True
        )
        return _AdmittedOrder(order, models, self._catalog.models_of(name)[0], owner, reservation_id)

    def _check_bounds(self, request: ImageRequest) -> None:
        bounds = self._catalog.media
        for field in ("width", "height"):
            pixels = getattr(request, field)
            if pixels is not None and not 16 <= pixels <= bounds.max_side:
                raise ValidationFailed(f"Must be between 16 and {bounds.max_side} pixels.", param=field)
        if not 1 <= request.n <= bounds.max_count:
            raise ValidationFailed(f"Must be between 1 and {bounds.max_count} images.", param="n")

    def _candidates(self, name: str, provider: str | None, principal: Principal) -> tuple[str, ...]:
        models = candidate_models(self._catalog, name, principal, "images", self._is_usable)
        if provider is not None:
            models = tuple(m for m in models if provider in self._catalog.models[m].providers)
            if not models:
                raise UnsupportedParameter("This provider cannot generate these images.", param="provider")
        return models

    def _default_model(self, provider: str | None) -> str:
        """Return the default, or the first model (of `provider`) that generates images."""
        if provider is None and self._catalog.media.default is not None:
            return self._catalog.media.default
        capable = [
            name
            for name, model in self._catalog.models.items()
            if "images" in model.capabilities and (provider is None or provider in model.providers)
        ]
        if not capable:
            raise UnsupportedParameter(
                "No image model is configured. Add one to provider_config.yaml."
                if provider is None
                else "No provider of this name generates images.",
                param="model" if provider is None else "provider",
            )
        return next(filter(self._is_usable, capable), capable[0])

    def _is_usable(self, model: str) -> bool:
        return bool(self._upstreams.for_model(model))

    async def _generate(
        self, admitted: _AdmittedOrder, task: TurnTask, on_progress: Callable[[ImageProgress], None]
    ) -> ImagesGenerated:
        """Call a model, store the images and settle on every exit."""
        request = admitted.order.request
        inputs = [request.prompt, request.negative_prompt or "", *map(str, request.placeholders.values())]

        def begun(model: str, provider: str) -> tuple[Usage, Decimal]:
            if self._providers[provider].stops_when_cancelled:
                return Usage(), Decimal(0)
            return Usage(), self._catalog.price_of(model).image * request.n

        fallback_call = FallbackCall(self._upstreams, "image", admitted.requested_model, begun, inputs)

        async def ask(model: str, provider: str) -> tuple[list[ImageCompleted], Usage, Decimal]:
            provider_request = replace(request, model=self._catalog.models[model].model)
            if unsupported := sorted(request.rendering.keys() - self._providers[provider].rendering_options):
                raise UnsupportedParameter(
                    "The provider of this model does not support this parameter.", param=unsupported[0]
                )
            images = await self._collect_images(self._providers[provider], provider_request, on_progress)
            return images, Usage(), self._catalog.price_of(model).image * len(images)

        try:
            images = await fallback_call.run(admitted.models, ask)
            task.block_cancellation()
            stored = await self._library.store(
                admitted.owner.user_id,
                admitted.owner.request_id,
                images,
                request.prompt,
                fallback_call.calls[-1],
            )
        except BaseException:
            fallback_call.waive_costs()
            raise
        finally:
            task.acknowledge_cancel()
            task.block_cancellation()
            await fallback_call.settle(self._ledger, admitted.owner, admitted.reservation_id)
        final_call = fallback_call.calls[-1]
        return ImagesGenerated(
            stored,
            final_call.model,
            final_call.provider,
            stored[0].seed,
            final_call.cost_usd,
            admitted.owner.request_id,
            fallback_from=fallback_call.fallback_from,
        )

    async def _collect_images(
        self, provider: ImageProvider, request: ImageRequest, on_progress: Callable[[ImageProgress], None]
    ) -> list[ImageCompleted]:
        timeouts = provider.timeouts
        images: list[ImageCompleted] = []
        try:
            async with (
                asyncio.timeout(timeouts.mock if provider.type == "mock" else timeouts.live),
                aclosing(provider.generate(request)) as events,
            ):
                async for event in events:
                    if isinstance(event, ImageCompleted):
                        images.append(event)
                    else:
                        on_progress(event)
        except TimeoutError as error:
            raise UpstreamTimeout from error
        if len(images) < request.n:
            raise UpstreamBroken("The provider returned fewer images than requested.")
        return images
