"""One model call for a turn's answer: streaming, guards, timeouts and its record."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import perf_counter

from gateway.agent.budget.stream_metering import limit_to_budget
from gateway.agent.budget.turn_budget import CallReservation
from gateway.agent.context import AgentContext
from gateway.agent.guards.input import hold_until_verdict
from gateway.agent.guards.output import OutputGuard
from gateway.agent.guards.verdicts import GuardrailBlocked
from gateway.agent.model_call.response_accumulator import ResponseAccumulator
from gateway.agent.model_call.stream_assembler import StreamAssembler
from gateway.agent.model_call.timeouts import CallDeadline, timeouts_for
from gateway.agent.routing.alternatives import rejects_streaming
from gateway.agent.state import Route
from gateway.agent.tracing import end_model_span, model_span
from gateway.core.event_loop_yielding import iterate_cooperatively
from gateway.core.exceptions import GatewayError, UpstreamBroken, UpstreamReply, UpstreamTimeout
from gateway.domain.events import Completed, ModelCall, ProviderEvent
from gateway.domain.requests import ChatRequest, ToolSpec
from gateway.providers.base import ChatProvider, activity_callback
from gateway.providers.errors.reason import iter_texts, sanitize_error


@dataclass(slots=True)
class AnswerCall:
    """A call of `route` whose output is sent to the client as it arrives.

    client_tools: tools of the client, whose definitions count in an estimate of the prompt.
    """

    context: AgentContext
    provider: ChatProvider
    route: Route
    output_guard: OutputGuard | None
    client_tools: tuple[ToolSpec, ...]
    response: ResponseAccumulator = field(default_factory=ResponseAccumulator)

    async def run(self, request: ChatRequest, reservation: CallReservation | None) -> None:
        """Make the call and record it, however it ends.

        Raises:
            UpstreamTimeout, UpstreamBroken (no end marker) and other errors of the provider.
            GuardrailBlocked: a guardrail blocked the question or the answer.
        """
        context, response = self.context, self.response
        outcome, failure = "cancelled", None
        context.request_sent = False
        started = perf_counter()
        with model_span(self.provider, self.route.model, request) as call_span:
            try:
                with context.track_call(self.route):
                    await self._stream_or_ask_unstreamed(request, reservation)
                outcome = "ok"
            except GuardrailBlocked:
                outcome = "content_blocked"
                raise
            except GatewayError as error:
                sanitize_error(error, self.provider.config, iter_texts(request.messages))
                error.last_upstream = (self.provider.name, self.route.model)
                outcome, failure = error.code, error
                raise
            finally:
                # Also on cancellation: the vendor charges for an answer that it has started.
                if self.output_guard is not None:
                    response.withheld_text += self.output_guard.withheld_text
                response.request_sent = context.request_sent
                if failure is not None:
                    response.record_failure(failure)
                model_call = self._model_call(request, outcome, failure, started)
                context.run.model_calls.append(model_call)
                if context.run.budget is not None and reservation is not None:
                    context.run.budget.release_call(reservation, model_call.usage)
                end_model_span(call_span, model_call, response)

    def _model_call(
        self, request: ChatRequest, outcome: str, failure: GatewayError | None, started: float
    ) -> ModelCall:
        catalog, route = self.context.resources.catalog, self.route
        window = catalog.models[route.model].context_window
        usage = self.response.usage_or_estimate(request, window, self.client_tools)
        first_ms = None
        if request.stream and not request.assembled and self.response.first_output_at is not None:
            first_ms = round((self.response.first_output_at - started) * 1000, 3)
        return ModelCall(
            model=route.model,
            provider=self.provider.name,
            outcome=outcome,
            ms=round((perf_counter() - started) * 1000, 3),
            first_ms=first_ms,
            usage=usage,
            cost_usd=catalog.price_of(route.model).cost(usage),
            upstream_reply=failure.upstream_reply if failure is not None else None,
        )

    async def _stream_or_ask_unstreamed(
        self, request: ChatRequest, reservation: CallReservation | None
    ) -> None:
        """Send the answer; repeat the call unstreamed if only the gateway wanted a stream."""
        try:
            await self._stream_events(request, reservation)
        except GatewayError as error:
            if not request.assembled or not rejects_streaming(error):
                raise
            upstream = self.context.resources.upstreams.get(self.route.model, self.route.provider)
            upstream.accepts_streams = False
            await self._stream_events(replace(request, stream=False, assembled=False), reservation)

    async def _stream_events(self, request: ChatRequest, reservation: CallReservation | None) -> None:
        deadline = CallDeadline(timeouts_for(self.provider, request))
        token = activity_callback.set(deadline.extend)
        assembler = StreamAssembler()
        provider_events = self.provider.stream(request)
        budget = self.context.run.budget
        if request.stream and budget is not None and reservation is not None:
            price = self.context.resources.catalog.price_of(self.route.model)
            provider_events = limit_to_budget(
                provider_events, budget, reservation, price, request.sampling.max_tokens
            )
        if request.assembled:
            provider_events = assembler.assemble(provider_events)
        checked = hold_until_verdict(provider_events, self.context)
        try:
            async with deadline.timeout, aclosing(iterate_cooperatively(checked)) as events:
                async for event in events:
                    deadline.extend()
                    self._handle_event(event)
        except TimeoutError as error:
            timeout = UpstreamTimeout()
            timeout.upstream_reply = UpstreamReply(reason=deadline.reason)
            raise timeout from error
        finally:
            activity_callback.reset(token)
            self.response.withheld_text = assembler.incomplete_text
        if self.response.finish_reason is None:
            raise UpstreamBroken

    def _handle_event(self, event: ProviderEvent) -> None:
        if self.output_guard is None:
            self._emit(event)
            return
        for released in self.output_guard.filter(event):
            self._emit(released)
        self.output_guard.raise_if_blocked()

    def _emit(self, event: ProviderEvent) -> None:
        self.response.add(event)
        if not isinstance(event, Completed):
            self.context.run.emit(event)
