"""ComfyUI: a workflow is queued, followed over its WebSocket, and its pictures are fetched.

The protocol as ComfyUI 0.3.64 speaks it: `POST /prompt`, `/ws?clientId=`, `GET /history/{id}`, `GET /view`.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncGenerator
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
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.images import ImageDone, ImageEvent, ImageProgress, ImageRequest
from gateway.providers.chat import wire
from gateway.providers.image.base import ImageProvider
from gateway.providers.image.workflow import Workflow, WorkflowError, load_workflow

_DEFAULT_URL = "http://localhost:8188"
_MAX_IMAGE = 64 * 1024 * 1024
_MAX_MESSAGE = 16 * 1024 * 1024  # previews come as binary messages
_MAX_SEED = 2**63
_POLL_SECONDS = 0.5
_KIND = re.compile(r"[A-Za-z]{1,60}")


class ComfyUIProvider(ImageProvider):
    """`options.workflows` is the folder of workflow files (`workflows`), `options.workflow` the usual one.

    A model's `model` in the configuration names its workflow too, unless it is `default`.
    """

    type = "comfyui"

    def __init__(
        self, name: str, config: ProviderConfig, timeouts: Timeouts, http: httpx.AsyncClient
    ) -> None:
        super().__init__(name, config, timeouts, http)
        self._base = wire.base_url_of(config.base_url, _DEFAULT_URL)
        self._folder = Path(str(config.options.get("workflows", "workflows")))
        self._usual = str(config.options.get("workflow", "smoke"))
        self._extensions = {"timeout": wire.timeouts_of(timeouts)}

    @property
    def configured(self) -> bool:
        return self.config.base_url is not None

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageEvent, None]:
        workflow = self._workflow(request)
        seed = secrets.randbelow(_MAX_SEED) if request.seed is None else request.seed
        for number in range(request.n):
            graph = _fill(workflow, request, (seed + number) % _MAX_SEED)
            async with aclosing(self._run(workflow, graph)) as events:
                async for event in events:
                    if isinstance(event, ImageProgress):
                        yield ImageProgress((number + event.fraction) / request.n, event.step)
                    else:
                        yield ImageDone(event.content, event.content_type, (seed + number) % _MAX_SEED)

    def _workflow(self, request: ImageRequest) -> Workflow:
        name = request.workflow or (request.model if request.model != "default" else self._usual)
        try:
            return load_workflow(self._folder, name)
        except FileNotFoundError:
            raise UnsupportedParameter("There is no workflow of this name.", param="workflow") from None
        except (WorkflowError, OSError) as error:
            raise UpstreamError(f"The workflow {name} cannot be used; an operator has to mend it.") from error

    async def _run(self, workflow: Workflow, graph: dict[str, Any]) -> AsyncGenerator[ImageEvent, None]:
        """One run of one graph; called off at ComfyUI where this iterator is closed early."""
        # The id is ours, so that a run can be called off before its queueing was confirmed.
        client_id, prompt_id = uuid4().hex, str(uuid4())
        queued = ended = False
        deadline = asyncio.get_running_loop().time() + self.timeouts.live
        try:
            async with aiohttp.ClientSession() as session:
                socket = await self._listen(session, client_id)
                queued = True
                prompt_id = await self._queue(workflow, graph, client_id, prompt_id)
                async with aclosing(_Follower(workflow, prompt_id, deadline).events(socket)) as events:
                    async for event in events:
                        yield event
                await socket.close()
            outputs = await self._outputs(workflow, prompt_id, deadline)
            ended = True
        finally:
            if queued and not ended:
                await asyncio.shield(asyncio.ensure_future(self._call_off(prompt_id)))
        for output in outputs:
            yield await self._view(output)

    async def _listen(
        self, session: aiohttp.ClientSession, client_id: str
    ) -> aiohttp.ClientWebSocketResponse:
        url = f"{self._base.replace('http', 'ws', 1)}/ws?clientId={client_id}"
        try:
            async with asyncio.timeout(self.timeouts.connect):
                return await session.ws_connect(url, max_msg_size=_MAX_MESSAGE)
        except TimeoutError as error:
            raise UpstreamTimeout from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnavailable("ComfyUI cannot be reached.") from error

    async def _queue(self, workflow: Workflow, graph: dict[str, Any], client_id: str, prompt_id: str) -> str:
        """Queue the graph; the id it then has, which an older ComfyUI makes itself."""
        body = json.dumps({"prompt": graph, "client_id": client_id, "prompt_id": prompt_id}).encode()
        request = httpx.Request(
            "POST",
            f"{self._base}/prompt",
            content=body,
            headers={"content-type": "application/json"},
            extensions=dict(self._extensions),
        )
        try:
            response = await self.http.send(request, stream=True)
        except (httpx.HTTPError, aiohttp.ClientError) as error:
            raise UpstreamUnavailable("ComfyUI cannot be reached.") from error
        try:
            answer = _mapping(await wire.whole(response))
        finally:
            await response.aclose()
        if response.status_code == 400:
            raise UpstreamError(_refusal(workflow, answer))
        told = answer.get("prompt_id")
        if not response.is_success or not isinstance(told, str):
            raise wire.error_of(response.status_code, response.headers, b"")
        return told

    async def _outputs(self, workflow: Workflow, prompt_id: str, deadline: float) -> list[dict[str, str]]:
        """The pictures that the run saved; waits for it where its socket was lost half-way."""
        loop = asyncio.get_running_loop()
        while True:
            history = _mapping(await self._get(f"/history/{prompt_id}")).get(prompt_id)
            if isinstance(history, dict):
                break
            if loop.time() > deadline:
                raise UpstreamTimeout
            await asyncio.sleep(_POLL_SECONDS)
        status = history.get("status")
        for kind, data in _pairs(status.get("messages") if isinstance(status, dict) else None):
            if kind in ("execution_error", "execution_interrupted"):
                raise _failed(workflow, kind, data)
        found = _pictures(history.get("outputs"))
        if not found:
            raise UpstreamBroken("The workflow ran, but saved no picture; does it end in a SaveImage node?")
        return found

    async def _view(self, output: dict[str, str]) -> ImageDone:
        content = await self._get(f"/view?{urlencode(output)}", _MAX_IMAGE)
        return ImageDone(content, "image/png")

    async def _get(self, path: str, limit: int = wire.MAX_JSON) -> bytes:
        request = httpx.Request("GET", self._base + path, extensions=dict(self._extensions))
        response = await wire.send(self.http, request)
        try:
            return await wire.whole(response, limit)
        finally:
            await response.aclose()

    async def _call_off(self, prompt_id: str) -> None:
        """Take the run off the queue, or stop it; a ComfyUI that is gone has nothing to stop."""
        for path, body in (
            ("/queue", {"delete": [prompt_id]}),
            ("/interrupt", {"prompt_id": prompt_id}),
        ):
            request = httpx.Request(
                "POST",
                self._base + path,
                content=json.dumps(body).encode(),
                headers={"content-type": "application/json"},
                extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), 2.0)},
            )
            try:
                await (await wire.send(self.http, request)).aclose()
            except GatewayError:
                return


class _Follower:
    """Reads a run's events until it has ended, or until the socket is lost: the history then tells."""

    def __init__(self, workflow: Workflow, prompt_id: str, deadline: float) -> None:
        self._workflow = workflow
        self._prompt_id = prompt_id
        self._deadline = deadline
        self._done: set[str] = set()

    async def events(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncGenerator[ImageProgress, None]:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    message = await socket.receive()
            except TimeoutError as error:
                raise UpstreamTimeout from error
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
                return
            if message.type is aiohttp.WSMsgType.ERROR:
                return
            if loop.time() > self._deadline:
                raise UpstreamTimeout
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            told = _mapping(message.data)
            kind, data = told.get("type"), told.get("data")
            if not isinstance(data, dict) or data.get("prompt_id") != self._prompt_id:
                continue
            if kind == "execution_success" or (kind == "executing" and data.get("node") is None):
                return
            if kind in ("execution_error", "execution_interrupted"):
                raise _failed(self._workflow, kind, data)
            progress = self._progress(str(kind), data)
            if progress is not None:
                yield progress

    def _progress(self, kind: str, data: dict[str, Any]) -> ImageProgress | None:
        node, part = "", 0.0
        if kind == "execution_cached" and isinstance(data.get("nodes"), list):
            self._done.update(map(str, data["nodes"]))
        elif kind == "executed":
            self._done.add(str(data.get("node")))
        elif kind == "executing":
            node = str(data.get("node"))
        elif kind == "progress_state" and isinstance(data.get("nodes"), dict):
            for id_, state in data["nodes"].items():
                if isinstance(state, dict) and state.get("state") == "finished":
                    self._done.add(id_)
                elif isinstance(state, dict) and state.get("state") == "running":
                    node, part = id_, _share(state.get("value"), state.get("max"))
        elif kind == "progress":
            node, part = str(data.get("node")), _share(data.get("value"), data.get("max"))
        if not node:
            return None
        fraction = min(1.0, (len(self._done - {node}) + part) / self._workflow.size)
        return ImageProgress(round(fraction, 4), self._workflow.title_of(node))


def _fill(workflow: Workflow, request: ImageRequest, seed: int) -> dict[str, Any]:
    values = {
        **request.placeholders,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "width": request.width,
        "height": request.height,
        "seed": seed,
    }
    try:
        return workflow.fill(values)
    except WorkflowError as error:
        raise UnsupportedParameter(str(error), param="placeholders") from None


def _refusal(workflow: Workflow, answer: dict[str, Any]) -> str:
    """Which node ComfyUI would not take; its own words may hold what was asked and stay out."""
    nodes = answer.get("node_errors")
    error = answer.get("error")
    named = list(nodes) if isinstance(nodes, dict) else []
    if not named and isinstance(error, dict) and (found := re.search(r"#(\w+)", str(error.get("details")))):
        named = [found[1]]
    if not named:
        return f"ComfyUI refused the workflow {workflow.name}."
    titles = ", ".join(workflow.title_of(node) for node in named[:3])
    return f"ComfyUI refused the workflow {workflow.name} at node {titles}."


def _failed(workflow: Workflow, kind: str, data: dict[str, Any]) -> UpstreamError:
    if kind == "execution_interrupted":
        return UpstreamBroken("The workflow was interrupted at ComfyUI.")
    node = workflow.title_of(str(data.get("node_id")))
    name = data.get("exception_type")
    why = f": {name}" if isinstance(name, str) and _KIND.fullmatch(name) else ""
    return UpstreamBroken(f"The workflow {workflow.name} failed at node {node}{why}.")


def _pictures(outputs: Any) -> list[dict[str, str]]:
    """What was saved; only where nothing was, the previews."""
    found: list[dict[str, str]] = []
    for node in outputs.values() if isinstance(outputs, dict) else ():
        for image in node.get("images") or () if isinstance(node, dict) else ():
            if isinstance(image, dict) and isinstance(image.get("filename"), str):
                keys = ("filename", "subfolder", "type")
                found.append({key: str(image.get(key, "")) for key in keys})
    return [image for image in found if image["type"] == "output"] or found


def _share(value: Any, most: Any) -> float:
    if isinstance(value, int | float) and isinstance(most, int | float) and most > 0:
        return min(1.0, max(0.0, value / most))
    return 0.0


def _mapping(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UpstreamBroken from error
    if not isinstance(value, dict):
        raise UpstreamBroken
    return value


def _pairs(messages: Any) -> list[tuple[str, dict[str, Any]]]:
    return [
        (message[0], message[1])
        for message in (messages if isinstance(messages, list) else ())
        if isinstance(message, list) and len(message) == 2 and isinstance(message[1], dict)
    ]
