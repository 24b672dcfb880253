"""Images from ComfyUI.

Queues a workflow, tracks it over a WebSocket, downloads the results.

Uses the API of ComfyUI 0.3.64: `POST /prompt`, `/ws?clientId=`, `GET /history/{id}`, `GET /view`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import httpx

from gateway.core.exceptions import (
    GatewayError,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.images import ImageCompleted, ImageEvent, ImageProgress, ImageRequest
from gateway.providers.base import ImageProvider, ProviderHealth
from gateway.providers.comfyui.run_progress import RunProgress, parse_object, rejection_error, saved_outputs
from gateway.providers.comfyui.workflow import REQUEST_FIELDS, Workflow, WorkflowError, load_workflow
from gateway.providers.http import exchange

_DEFAULT_URL = "http://localhost:8188"
_MAX_IMAGE_BYTES = 64 * 1024 * 1024
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # previews are binary messages
_HEARTBEAT_SECONDS = 30.0
_MAX_SEED = 2**63
# The end of a run is reported a moment before its history is available.
_FIRST_POLL_SECONDS, _POLL_SECONDS = 0.01, 0.5
_CANCEL_SECONDS = 2.0


class ComfyUIImages(ImageProvider):
    """Runs ComfyUI workflows.

    `options.workflows` is the folder of workflow files (default `workflows`), `options.workflow` the default
    workflow. `options.placeholders` are values for placeholders that a request leaves out, such as
    `checkpoint`. A model's `model` in the configuration names a workflow too, unless it is `default`.
    """

    type = "comfyui"
    stops_when_cancelled = True

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._base_url = exchange.normalize_base_url(config.base_url, _DEFAULT_URL)
        self._folder = Path(str(config.options.get("workflows", "workflows")))
        self._default_workflow = str(config.options.get("workflow", "product_shot_v1"))
        self._placeholders = _placeholders(config.options.get("placeholders"))
        self._extensions = {"timeout": exchange.timeout_extension(timeouts)}

    @property
    def configured(self) -> bool:
        return self.config.base_url is not None

    async def check_health(self) -> ProviderHealth:
        if not self.configured:
            return ProviderHealth(False, "no URL is configured")
        return await exchange.probe_url(self.http, f"{self._base_url}/system_stats", {})

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        workflow = self._load_workflow(request)
        seed = secrets.randbelow(_MAX_SEED) if request.seed is None else request.seed
        for number in range(request.n):
            graph = _fill_workflow(workflow, request, (seed + number) % _MAX_SEED, self._placeholders)
            async with aclosing(self._run(workflow, graph, _caller_placeholders(request))) as events:
                async for event in events:
                    if isinstance(event, ImageProgress):
                        yield ImageProgress((number + event.fraction) / request.n, event.step)
                    else:
                        yield ImageCompleted(event.content, event.content_type, (seed + number) % _MAX_SEED)

    def _load_workflow(self, request: ImageRequest) -> Workflow:
        name = request.workflow or (request.model if request.model != "default" else self._default_workflow)
        try:
            return load_workflow(self._folder, name)
        except FileNotFoundError:
            raise UnsupportedParameter("There is no workflow with this name.", param="workflow") from None
        except (WorkflowError, OSError) as error:
            raise UpstreamError(
                f"The workflow {name} cannot be used. Ask an administrator to check its file."
            ) from error

    async def _run(
        self, workflow: Workflow, graph: dict[str, Any], caller_placeholders: Collection[str]
    ) -> AsyncGenerator[ImageEvent, None]:
        """Run one graph; closing the iterator early cancels the run in ComfyUI.

        Args:
            caller_placeholders: the placeholders that have values of the caller.
        """
        # We choose the id, so that a run can be cancelled before its queueing was confirmed.
        client_id, prompt_id = uuid4().hex, str(uuid4())
        queued = finished = False
        deadline = asyncio.get_running_loop().time() + self.timeouts.live
        try:
            async with aiohttp.ClientSession() as session:
                socket = await self._connect_socket(session, client_id)
                queued = True
                prompt_id = await self._queue_prompt(
                    workflow, graph, caller_placeholders, client_id, prompt_id
                )
                async with aclosing(RunProgress(workflow, prompt_id, deadline).events(socket)) as events:
                    async for event in events:
                        yield event
                await socket.close()
            outputs = await self._wait_for_outputs(workflow, prompt_id, deadline)
            finished = True
        except (UpstreamError, UnsupportedParameter) as error:
            # It was rejected, or has ended by itself: whatever runs there now belongs to another client.
            finished = type(error) in (UpstreamError, UnsupportedParameter)
            raise
        finally:
            if queued and not finished:
                await asyncio.shield(asyncio.ensure_future(self._cancel_run(prompt_id)))
        for output in outputs:
            yield await self._download_image(output)

    async def _connect_socket(
        self, session: aiohttp.ClientSession, client_id: str
    ) -> aiohttp.ClientWebSocketResponse:
        url = f"{self._base_url.replace('http', 'ws', 1)}/ws?clientId={client_id}"
        try:
            async with asyncio.timeout(self.timeouts.connect):
                return await session.ws_connect(
                    url, max_msg_size=_MAX_MESSAGE_BYTES, heartbeat=_HEARTBEAT_SECONDS
                )
        except TimeoutError as error:
            raise UpstreamTimeout from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnavailable("ComfyUI cannot be reached.") from error

    async def _queue_prompt(
        self,
        workflow: Workflow,
        graph: dict[str, Any],
        caller_placeholders: Collection[str],
        client_id: str,
        prompt_id: str,
    ) -> str:
        """Queue the graph and return its id, which older versions of ComfyUI choose themselves."""
        body = {"prompt": graph, "client_id": client_id, "prompt_id": prompt_id}
        try:
            response = await self.http.send(self._post("/prompt", body, self._extensions), stream=True)
        except (httpx.HTTPError, aiohttp.ClientError) as error:
            raise UpstreamUnavailable("ComfyUI cannot be reached.") from error
        try:
            if response.status_code not in (200, 400):
                raise exchange.error_from_response(response.status_code, response.headers, b"")
            answer = parse_object(await exchange.read_body(response))
        finally:
            await response.aclose()
        if response.status_code == 400:
            raise rejection_error(workflow, answer, caller_placeholders)
        confirmed_id = answer.get("prompt_id")
        if not isinstance(confirmed_id, str):
            raise UpstreamBroken
        return confirmed_id

    async def _wait_for_outputs(
        self, workflow: Workflow, prompt_id: str, deadline: float
    ) -> list[dict[str, str]]:
        """Return the saved images; polls for the end of the run if its socket was lost."""
        loop = asyncio.get_running_loop()
        queued, pause = True, _FIRST_POLL_SECONDS
        while True:
            history = parse_object(await self._get(f"/history/{prompt_id}")).get(prompt_id)
            if isinstance(history, dict):
                return saved_outputs(workflow, history)
            if not queued:
                raise UpstreamBroken("ComfyUI has lost the run; was it restarted?")
            if loop.time() > deadline:
                raise UpstreamTimeout
            await asyncio.sleep(pause)
            pause = min(_POLL_SECONDS, 2 * pause)
            # A run enters the history as it leaves the queue: check the history once more before giving up.
            queued = prompt_id in (await self._get("/queue")).decode("utf-8", "replace")

    async def _download_image(self, output: dict[str, str]) -> ImageCompleted:
        content = await self._get(f"/view?{urlencode(output)}", _MAX_IMAGE_BYTES)
        return ImageCompleted(content, "image/png")

    async def _get(self, path: str, limit: int = exchange.MAX_JSON_BYTES) -> bytes:
        request = httpx.Request("GET", self._base_url + path, extensions=dict(self._extensions))
        response = await exchange.send(self.http, request)
        try:
            return await exchange.read_body(response, limit)
        finally:
            await response.aclose()

    async def _cancel_run(self, prompt_id: str) -> None:
        """Remove the run from the queue, or interrupt it; errors are ignored."""
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), _CANCEL_SECONDS)
        for path, body in (
            ("/queue", {"delete": [prompt_id]}),
            ("/interrupt", {"prompt_id": prompt_id}),
        ):
            try:
                await (await exchange.send(self.http, self._post(path, body, {"timeout": timeouts}))).aclose()
            except GatewayError:
                return

    def _post(self, path: str, body: dict[str, Any], extensions: dict[str, Any]) -> httpx.Request:
        return httpx.Request(
            "POST",
            self._base_url + path,
            content=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            extensions=dict(extensions),
        )


def _placeholders(configured: Any) -> dict[str, Any]:
    """Return the values of `options.placeholders`, without empty ones, as of unset variables."""
    if configured is None:
        return {}
    if not isinstance(configured, dict):
        raise ValueError("options.placeholders must map placeholders to values")
    return {str(name): value for name, value in configured.items() if value not in (None, "")}


def _fill_workflow(
    workflow: Workflow, request: ImageRequest, seed: int, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    for placeholder in request.placeholders:
        if placeholder not in workflow.placeholders:
            known = ", ".join(sorted(workflow.placeholders)) or "none"
            raise UnsupportedParameter(
                f"The workflow {workflow.name} has no such placeholder; it has {known}.", param="placeholders"
            )
    values = {
        **defaults,
        **request.placeholders,
        **{name: getattr(request, name) for name in REQUEST_FIELDS},
        "seed": seed,
    }
    try:
        return workflow.fill(values)
    except WorkflowError as error:
        raise UnsupportedParameter(str(error), param="placeholders") from None


def _caller_placeholders(request: ImageRequest) -> Collection[str]:
    """Return the placeholders that have values of the caller."""
    return {*request.placeholders, *(name for name in REQUEST_FIELDS if getattr(request, name) is not None)}
