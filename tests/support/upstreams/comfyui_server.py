"""A ComfyUI server with the messages of version 0.3.64."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from aiohttp import WSMsgType, web
from PIL import Image

_NUMBERS = {"EmptyImage": {"color": 0xFFFFFF}, "ImageScale": {"width": 16384, "height": 16384}}
_CLASSES = {
    "EmptyImage", "ImageScale", "SaveImage", "ImageToMask", "MaskToImage",
    "CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode",
}  # fmt: skip


class ComfyUIUpstream:
    """Runs graphs by walking their nodes; `misbehaviour` makes it fail in one of the ways it does.

    `misbehaviour`: "" | refuse (400, as for a bad input) | error (a node raises) | drop (the socket closes
    half-way, the run goes on) | empty (no picture) | cut (half of the picture) | html (a page instead) |
    hang (never ends) | interrupted | garbage (a socket message that is no JSON) | die (the socket and the run
    are gone half-way, as after a restart).
    """

    def __init__(self) -> None:
        self.url = ""
        self.misbehaviour = ""
        self.checkpoints: tuple[str, ...] = ()
        self.prompts: list[dict[str, Any]] = []
        self.called_off: list[tuple[str, str]] = []
        self.queued = asyncio.Event()
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._history: dict[str, dict[str, Any]] = {}
        self._files: dict[str, bytes] = {}
        self._seen: set[str] = set()
        self._running: set[str] = set()
        self._runs: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_post("/prompt", self._prompt)
        app.router.add_get("/history/{id}", self._read_history)
        app.router.add_get("/view", self._view)
        app.router.add_get("/queue", self._read_queue)
        app.router.add_post("/queue", self._delete)
        app.router.add_post("/interrupt", self._interrupt)
        return app

    async def aclose(self) -> None:
        for run in list(self._runs):
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = request.query["clientId"]
        self._sockets[client] = socket
        await socket.send_json(
            {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client}}
        )
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
        return socket

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        graph = body["prompt"]
        self.prompts.append(graph)
        for node_id, node in graph.items():
            if node["class_type"] not in _CLASSES:
                return web.json_response(
                    {
                        "error": {
                            "type": "invalid_prompt",
                            "message": f"Cannot execute because node {node['class_type']} does not exist.",
                            "details": f"Node ID '#{node_id}'",
                            "extra_info": {},
                        },
                        "node_errors": {},
                    },
                    status=400,
                )
        node_errors = _not_valid(graph, self.checkpoints)
        if self.misbehaviour == "refuse":
            errors = [{"type": "value_smaller_than_min", "message": "vendor secret", "details": "width"}]
            node_errors = {"2": {"errors": errors, "dependent_outputs": ["3"], "class_type": "ImageScale"}}
        if node_errors:
            error = {"type": "prompt_outputs_failed_validation", "message": "vendor secret", "details": ""}
            return web.json_response({"error": error, "node_errors": node_errors}, status=400)
        prompt_id = str(body.get("prompt_id") or uuid4())
        run = asyncio.create_task(self._run(prompt_id, graph, self._sockets[body["client_id"]]))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        self._running.add(prompt_id)
        self.queued.set()
        return web.json_response({"prompt_id": prompt_id, "number": len(self.prompts), "node_errors": {}})

    async def _run(self, prompt_id: str, graph: dict[str, Any], socket: web.WebSocketResponse) -> None:
        async def tell(kind: str, **data: Any) -> None:
            if not socket.closed:
                await socket.send_json({"type": kind, "data": {**data, "prompt_id": prompt_id}})

        async def show(node_id: str, state: str, value: float) -> None:
            nodes[node_id] = {
                "value": value, "max": 1.0, "state": state, "node_id": node_id, "prompt_id": prompt_id,
                "display_node_id": node_id, "parent_node_id": None, "real_node_id": node_id,
            }  # fmt: skip
            await tell("progress_state", nodes=nodes)

        nodes: dict[str, Any] = {}
        cached = [node for node in graph if self._key(graph, node) in self._seen]
        outputs: dict[str, Any] = {}
        messages: list[Any] = [
            ["execution_start", {"prompt_id": prompt_id, "timestamp": 1}],
            ["execution_cached", {"nodes": cached, "prompt_id": prompt_id, "timestamp": 1}],
        ]
        for kind, data in messages:
            await tell(kind, **{name: value for name, value in data.items() if name != "prompt_id"})
        if self.misbehaviour == "garbage":
            await socket.send_str("{not json")
        for at, (node_id, node) in enumerate(graph.items()):
            if self.misbehaviour == "hang":
                await asyncio.Event().wait()
            if at == 1 and self.misbehaviour in ("drop", "die"):
                await socket.close()
            if at == 1 and self.misbehaviour == "die":
                self._running.discard(prompt_id)
                return
            if node_id not in cached:
                await show(node_id, "running", 0.0)
                await tell("executing", node=node_id, display_node=node_id)
            if self._raises(at, node):
                await self._failed(prompt_id, node_id, node, messages, tell)
                return
            saves = node["class_type"] == "SaveImage"
            if saves and self.misbehaviour != "empty":
                images = [self._save(graph)]
                outputs[node_id] = {"images": images}
                await tell("executed", node=node_id, display_node=node_id, output={"images": images})
            if saves or node_id not in cached:
                await show(node_id, "finished", 1.0)
            self._seen.add(self._key(graph, node_id))
        messages.append(["execution_success", {"prompt_id": prompt_id, "timestamp": 2}])
        self._record(prompt_id, outputs, messages, "success")
        await tell("execution_success", timestamp=2)
        await tell("executing", node=None)

    def _raises(self, at: int, node: dict[str, Any]) -> bool:
        """A picture of three channels has no alpha."""
        if self.misbehaviour in ("error", "interrupted"):
            return at == 1
        return node["class_type"] == "ImageToMask" and node["inputs"].get("channel") == "alpha"

    async def _failed(
        self, prompt_id: str, node_id: str, node: dict[str, Any], messages: list[Any], tell: Any
    ) -> None:
        kind = "execution_interrupted" if self.misbehaviour == "interrupted" else "execution_error"
        data = {
            "node_id": node_id,
            "node_type": node["class_type"],
            "executed": ["1"],
            "exception_message": "vendor secret",
            "exception_type": "IndexError",
            "traceback": ["vendor secret"],
            "current_inputs": {"channel": ["vendor secret"]},
            "current_outputs": ["1"],
            "timestamp": 2,
        }
        messages.append([kind, {**data, "prompt_id": prompt_id}])
        self._record(prompt_id, {}, messages, "error")
        await tell(kind, **data)
        await tell("executing", node=None)

    @staticmethod
    def _key(graph: dict[str, Any], node_id: str) -> str:
        """What a node's result depends on: its inputs, and those of the nodes before it."""
        inputs = graph[node_id]["inputs"]
        before = [value[0] for value in inputs.values() if isinstance(value, list)]
        return repr(
            (graph[node_id]["class_type"], inputs, [ComfyUIUpstream._key(graph, node) for node in before])
        )

    def _record(self, prompt_id: str, outputs: Any, messages: list[Any], status: str) -> None:
        received = {"status_str": status, "completed": status == "success", "messages": messages}
        self._running.discard(prompt_id)
        self._history[prompt_id] = {"outputs": outputs, "status": received}

    def _save(self, graph: dict[str, Any]) -> dict[str, str]:
        scale = next((n["inputs"] for n in graph.values() if n["class_type"] == "ImageScale"), {})
        buffer = io.BytesIO()
        size = (int(scale.get("width", 64)), int(scale.get("height", 64)))
        Image.new("RGB", size, (len(self._files) % 255, 80, 120)).save(buffer, "PNG")
        name = f"gateway_{len(self._files) + 1:05}_.png"
        content = buffer.getvalue()
        if self.misbehaviour == "cut":
            content = content[: len(content) // 2]
        elif self.misbehaviour == "html":
            content = b"<html><script>alert(1)</script></html>"
        self._files[name] = content
        return {"filename": name, "subfolder": "", "type": "output"}

    async def _read_history(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        found = self._history.get(prompt_id)
        return web.json_response({} if found is None else {prompt_id: found})

    async def _read_queue(self, request: web.Request) -> web.Response:
        running = [[number, prompt_id, {}, {}, []] for number, prompt_id in enumerate(self._running)]
        return web.json_response({"queue_running": running, "queue_pending": []})

    async def _view(self, request: web.Request) -> web.Response:
        name = request.query["filename"]
        if not re.fullmatch(r"[\w.]+", name) or name not in self._files:
            return web.Response(status=404)
        return web.Response(body=self._files[name], content_type="image/png")

    async def _delete(self, request: web.Request) -> web.Response:
        self.called_off += [("queue", prompt) for prompt in (await request.json())["delete"]]
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        self.called_off.append(("interrupt", (await request.json())["prompt_id"]))
        return web.Response()


@asynccontextmanager
async def comfyui_server() -> AsyncIterator[ComfyUIUpstream]:
    """One on a free port of loopback."""
    upstream = ComfyUIUpstream()
    runner = web.AppRunner(upstream.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield upstream
    finally:
        await upstream.aclose()
        await runner.cleanup()


def _not_valid(graph: dict[str, Any], checkpoints: tuple[str, ...]) -> dict[str, Any]:
    """`node_errors` for wrong numbers and missing checkpoints, as execution.py of 0.3.64 words them."""
    found = dict[str, Any]()
    for node_id, node in graph.items():
        name = node["inputs"].get("ckpt_name")
        if node["class_type"] == "CheckpointLoaderSimple" and name not in checkpoints:
            about = {"input_name": "ckpt_name", "input_config": [list(checkpoints)], "received_value": name}
            details = f"ckpt_name: '{name}' not in {list(checkpoints)}"
            error = {"type": "value_not_in_list", "message": "Value not in list", "details": details}
            error["extra_info"] = about
            found[node_id] = {"errors": [error], "dependent_outputs": ["8"], "class_type": node["class_type"]}
        for field, most in _NUMBERS.get(node["class_type"], {}).items():
            value = node["inputs"].get(field, 0)
            kind = None
            if not isinstance(value, int):
                kind = "invalid_input_type"
            elif value > most:
                kind = "value_bigger_than_max"
            if kind is not None:
                about = {"input_name": field, "input_config": [], "received_value": value}
                error = {"type": kind, "message": "vendor secret", "details": field, "extra_info": about}
                node_errors = found.setdefault(node_id, {"errors": [], "class_type": node["class_type"]})
                node_errors["errors"].append(error)
    return found
