"""Image generation: reserve, call a model, store the images, settle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from decimal import Decimal

from gateway.core.exceptions import (
    GatewayError,
    UnsupportedParameter,
    UpstreamBroken,
    ValidationFailed,
)
from gateway.domain.accounts.principal import Principal
from gateway.domain.images import ImageCompleted, ImageProgress, ImageRequest, StoredImage
from gateway.domain.money import Usage
from gateway.domain.requests import RequestScope
from gateway.domain.usage.budgets import Estimate
from gateway.providers.base import ImageProvider
from gateway.services.execution.turn_tasks import TurnTask
from gateway.services.generation.fallback_call import FallbackCall, failure_to_gateway_error
from gateway.services.generation.image_library import ImageLibrary
from gateway.services.generation.metered_call import (
    AdmittedCall,
    CallPlan,
    MeteredCalls,
    provider_timeout,
    watch_disconnect,
)


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


class ImageGenerationService:
    """Generates all images of a request or none; undelivered images are neither stored nor charged."""

    def __init__(
        self, calls: MeteredCalls, providers: Mapping[str, ImageProvider], library: ImageLibrary
    ) -> None:
        self._calls = calls
        self._catalog = calls.catalog
        self._providers = providers
        self._library = library

    async def generate(
        self, order: ImageOrder, scope: RequestScope, *, in_turn: bool = False
    ) -> AsyncGenerator[ImageGenerationEvent, None]:
        """Yield progress, then exactly one `ImagesGenerated`.

        The work runs in its own task. It is cancelled when the iterator is closed early or the client
        disconnects, but not once the images are being stored.

        Args:
            in_turn: the request is part of a turn that already holds a permit.

        Raises:
            ValidationFailed: a size is out of bounds.
            ModelNotFound, UnsupportedParameter: no model can serve the request.
            QuotaExceeded, BudgetExceeded: the limit is reached; no model was called.
            CircuitOpen, UpstreamError: no model succeeded.
            Unavailable: the images cannot be stored, or the work was cancelled.
        """
        tasks = self._calls.tasks
        permit = None if in_turn else await tasks.acquire_permit(scope.principal)
        try:
            admitted = await self._admit(order, scope)
        except BaseException:
            if permit is not None:
                permit.release()
            raise
        events: asyncio.Queue[ImageGenerationEvent | GatewayError] = asyncio.Queue()

        async def work(task: TurnTask) -> None:
            try:
                events.put_nowait(await self._generate(order.request, admitted, task, events.put_nowait))
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - passed on to the consumer
                events.put_nowait(failure_to_gateway_error(error))

        task = tasks.start(work, owner=scope.principal, permit=permit)
        watcher = watch_disconnect(task, scope)
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
            task.cancel()

    async def _admit(self, order: ImageOrder, scope: RequestScope) -> AdmittedCall:
        request = order.request
        self._check_bounds(request)
        name = order.model or self._default_model(order.provider)
        models = self._candidates(name, order.provider, scope.principal)

        def cancelled_cost(model: str, provider: str) -> tuple[Usage, Decimal]:
            if self._providers[provider].stops_when_cancelled:
                return Usage(), Decimal(0)
            return Usage(), self._calls.price_of(model).image * request.n

        inputs = (request.prompt, request.negative_prompt or "", *map(str, request.placeholders.values()))
        plan = CallPlan("image", models, self._catalog.models_of(name)[0], cancelled_cost, inputs)
        price = max(self._calls.price_of(model).image for model in models)
        return await self._calls.admit(plan, scope, Estimate(0, price * request.n), stores_data=True)

    def _check_bounds(self, request: ImageRequest) -> None:
        bounds = self._catalog.media
        for field in ("width", "height"):
            pixels = getattr(request, field)
            if pixels is not None and not 16 <= pixels <= bounds.max_side:
                raise ValidationFailed(f"Must be between 16 and {bounds.max_side} pixels.", param=field)
        if not 1 <= request.n <= bounds.max_count:
            raise ValidationFailed(f"Must be between 1 and {bounds.max_count} images.", param="n")

    def _candidates(self, name: str, provider: str | None, principal: Principal) -> tuple[str, ...]:
        models = self._calls.candidates(name, principal, "images")
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
        return next(filter(self._calls.is_usable, capable), capable[0])

    async def _generate(
        self,
        request: ImageRequest,
        admitted: AdmittedCall,
        task: TurnTask,
        on_progress: Callable[[ImageProgress], None],
    ) -> ImagesGenerated:
        """Call a model, store the images and settle."""
        owner = admitted.owner

        async def call(model: str, provider: str) -> tuple[list[ImageCompleted], Usage, Decimal]:
            provider_request = replace(request, model=self._catalog.models[model].model)
            if unsupported := sorted(request.rendering.keys() - self._providers[provider].rendering_options):
                raise UnsupportedParameter(
                    "The provider of this model does not support this parameter.", param=unsupported[0]
                )
            images = await self._collect_images(self._providers[provider], provider_request, on_progress)
            return images, Usage(), self._calls.price_of(model).image * len(images)

        async def store(images: list[ImageCompleted], calls: FallbackCall) -> tuple[StoredImage, ...]:
            return await self._library.store(
                owner.user_id, owner.request_id, images, request.prompt, calls.calls[-1]
            )

        stored, fallback_call = await self._calls.run(task, admitted, call, store)
        final_call = fallback_call.calls[-1]
        return ImagesGenerated(
            stored,
            final_call.model,
            final_call.provider,
            stored[0].seed,
            final_call.cost_usd,
            owner.request_id,
            fallback_from=fallback_call.fallback_from,
        )

    async def _collect_images(
        self, provider: ImageProvider, request: ImageRequest, on_progress: Callable[[ImageProgress], None]
    ) -> list[ImageCompleted]:
        images: list[ImageCompleted] = []
        async with provider_timeout(provider), aclosing(provider.generate(request)) as events:
            async for event in events:
                if isinstance(event, ImageCompleted):
                    images.append(event)
                else:
                    on_progress(event)
        if len(images) < request.n:
            raise UpstreamBroken("The provider returned fewer images than requested.")
        return images
