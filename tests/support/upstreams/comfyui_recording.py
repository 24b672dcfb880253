"""The messages that a real ComfyUI sends during three runs.

`recordings/comfyui-0.3.64.json` is what the real one of that version sent; the server of the tests has to
send the same. `python -m tests.support.upstreams.comfyui_recording URL` records a ComfyUI that is running.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any
from uuid import uuid4

import aiohttp

from tests.support.paths import PROJECT, RECORDINGS

RECORDING = RECORDINGS / "comfyui-0.3.64.json"
_WORKFLOW = PROJECT / "workflows" / "smoke.json"


async def record(url: str) -> dict[str, Any]:
    """A run that makes all nodes, the same again, one whose second node raises, and a refusal."""
    colour = random.randrange(2**24)
    smoke = json.loads(_WORKFLOW.read_text(encoding="utf-8"))
    smoke["1"]["inputs"]["color"] = colour
    smoke["2"]["inputs"].update(width=96, height=96)
    raising = {
        "1": smoke["1"],
        "2": {"class_type": "ImageToMask", "inputs": {"image": ["1", 0], "channel": "alpha"}},
        "3": {"class_type": "MaskToImage", "inputs": {"mask": ["2", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "gateway"}},
    }
    raising["1"] = {**smoke["1"], "inputs": {**smoke["1"]["inputs"], "color": (colour + 1) % 2**24}}
    unknown = {"1": {"class_type": "NoSuchNode", "inputs": {}}, "2": {**smoke["3"]}}
    async with aiohttp.ClientSession() as session:
        return {
            "fresh": await _run(session, url, smoke),
            "cached": await _run(session, url, smoke),
            "error": await _run(session, url, raising),
            "refused": await _refusal(session, url, unknown),
        }


async def _run(session: aiohttp.ClientSession, url: str, graph: dict[str, Any]) -> dict[str, Any]:
    client, prompt = uuid4().hex, str(uuid4())
    messages: list[Any] = []
    fields: set[str] = set()
    async with session.ws_connect(f"{url.replace('http', 'ws', 1)}/ws?clientId={client}") as socket:
        body = {"prompt": graph, "client_id": client, "prompt_id": prompt}
        async with session.post(f"{url}/prompt", json=body) as response:
            queued = sorted(await response.json())
        while True:
            received = await socket.receive_json(timeout=30)
            if received["type"] == "status":
                continue  # of the whole queue, whenever it changes
            messages.append(_summary(received["type"], received["data"]))
            if received["type"] == "progress_state":
                fields.update(*received["data"]["nodes"].values())
            if received["type"] == "executing" and received["data"]["node"] is None:
                break
    async with session.get(f"{url}/history/{prompt}") as response:
        kept = (await response.json())[prompt]
    status = kept["status"]
    return {
        "queued": queued,
        "messages": messages,
        "node_fields": sorted(fields),
        "outputs": {node: sorted(output) for node, output in kept["outputs"].items()},
        "status": [status["status_str"], status["completed"]],
        "history": [_summary(kind, data) for kind, data in status["messages"]],
    }


async def _refusal(session: aiohttp.ClientSession, url: str, graph: dict[str, Any]) -> dict[str, Any]:
    async with session.post(f"{url}/prompt", json={"prompt": graph, "client_id": uuid4().hex}) as response:
        body = await response.json()
        return {"status": response.status, "fields": sorted(body), "error": sorted(body["error"])}


def _summary(kind: str, data: dict[str, Any]) -> list[Any]:
    """The message's kind and fields, and the node it is about, or the state of each."""
    nodes = data.get("nodes")
    if isinstance(nodes, dict):
        received: Any = {node: [state["state"], state["value"]] for node, state in nodes.items()}
    else:
        received = nodes if nodes is not None else data.get("node", data.get("node_id"))
    return [kind, sorted(data), received]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(record(sys.argv[1])), indent=1))
