"""ComfyUI's API, against a fake server that replays a recording of the real one."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from gateway.core.exceptions import (
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.images import ImageCompleted, ImageEvent, ImageProgress, ImageRequest
from gateway.providers.comfyui.images import ComfyUIImages
from tests.support.paths import PROJECT
from tests.support.upstreams.comfyui_recording import RECORDING, record
from tests.support.upstreams.comfyui_server import ComfyUIUpstream, comfyui_server

WORKFLOWS = PROJECT / "workflows"


@pytest.fixture
async def comfyui() -> AsyncIterator[ComfyUIUpstream]:
    async with comfyui_server() as upstream:
        yield upstream


def request(**fields: Any) -> ImageRequest:
    return ImageRequest("default", fields.pop("prompt", "a cat"), **fields)


async def run(
    url: str, asked: ImageRequest, *, folder: Path = WORKFLOWS, live: float = 20, **options: Any
) -> list[ImageEvent]:
    async with httpx.AsyncClient() as http:
        config = ProviderConfig(
            type="comfyui", base_url=url, options={"workflows": str(folder), "workflow": "smoke", **options}
        )
        provider = ComfyUIImages("comfy", config, Timeouts(live=live, connect=2), http)
        return [event async for event in provider.generate(asked)]


async def test_the_fake_server_matches_the_recording(
    comfyui: ComfyUIUpstream,
) -> None:
    assert await record(comfyui.url) == json.loads(RECORDING.read_text(encoding="utf-8"))


async def test_a_workflow_is_tracked_and_its_image_downloaded(comfyui: ComfyUIUpstream) -> None:
    events = await run(comfyui.url, request(width=48, height=32, seed=7))

    done = events[-1]
    assert isinstance(done, ImageCompleted)
    assert Image.open(io.BytesIO(done.content)).size == (48, 32)
    assert done.seed == 7
    progress = [event for event in events if isinstance(event, ImageProgress)]
    assert [event.fraction for event in progress] == sorted(event.fraction for event in progress)
    assert {event.step for event in progress} == {"1 (EmptyImage)", "2 (ImageScale)", "3 (SaveImage)"}


async def test_several_images_are_several_runs_with_different_seeds(comfyui: ComfyUIUpstream) -> None:
    events = await run(comfyui.url, request(width=16, height=16, seed=2**63 - 1, n=2))

    assert [event.seed for event in events if isinstance(event, ImageCompleted)] == [2**63 - 1, 0]
    assert len(comfyui.prompts) == 2


async def test_cached_nodes_count_as_finished(comfyui: ComfyUIUpstream) -> None:
    await run(comfyui.url, request(width=16, height=16, seed=1))
    again = await run(comfyui.url, request(width=16, height=16, seed=1))

    assert isinstance(again[-1], ImageCompleted)


async def test_a_lost_socket_does_not_lose_the_image(comfyui: ComfyUIUpstream) -> None:
    comfyui.misbehaviour = "drop"

    events = await run(comfyui.url, request(width=16, height=16))

    assert isinstance(events[-1], ImageCompleted)


@pytest.mark.parametrize(
    ("misbehaviour", "error", "sentence"),
    [
        ("refuse", UpstreamError, "rejected the workflow smoke at node 2 (ImageScale)"),
        ("error", UpstreamError, "failed at node 2 (ImageScale): IndexError"),
        ("interrupted", UpstreamError, "was interrupted"),
        ("die", UpstreamBroken, "has lost the run"),
        ("empty", UpstreamBroken, "no image"),
        ("garbage", UpstreamBroken, ""),
    ],
)
async def test_a_failed_run_names_the_node(
    comfyui: ComfyUIUpstream, misbehaviour: str, error: type[Exception], sentence: str
) -> None:
    comfyui.misbehaviour = misbehaviour

    with pytest.raises(error) as raised:
        await run(comfyui.url, request(width=16, height=16))

    assert sentence in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "param"),
    [({"placeholders": {"color": "red"}}, "placeholders"), ({"width": 20_000}, "width")],
)
async def test_a_rejected_value_of_the_caller_is_the_callers_error(
    comfyui: ComfyUIUpstream, given: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        await run(comfyui.url, request(**given))

    assert raised.value.param == param
    assert "secret" not in str(raised.value)
    assert comfyui.called_off == []


async def test_a_rejected_value_of_the_workflow_is_the_operators_error(
    comfyui: ComfyUIUpstream, tmp_path: Path
) -> None:
    graph = {"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "color": "{{color:red}}"}}}
    (tmp_path / "own.json").write_text(json.dumps(graph))

    with pytest.raises(UpstreamError, match=r"1 \(EmptyImage\)"):
        await run(comfyui.url, request(workflow="own"), folder=tmp_path)


async def test_an_unknown_node_is_named(comfyui: ComfyUIUpstream, tmp_path: Path) -> None:
    graph = {"9": {"class_type": "Nope", "inputs": {}}}
    (tmp_path / "own.json").write_text(json.dumps(graph))

    with pytest.raises(UpstreamError, match=r"9 \(Nope\)"):
        await run(comfyui.url, request(workflow="own"), folder=tmp_path)


async def test_the_default_workflow_sends_the_prompts_size_seed_and_checkpoint(
    comfyui: ComfyUIUpstream,
) -> None:
    comfyui.checkpoints = ("house.safetensors",)
    asked = request(prompt="a mug", negative_prompt="steam", width=300, height=200, seed=9)

    events = await run(
        comfyui.url, asked, workflow="product_shot_v1", placeholders={"checkpoint": "house.safetensors"}
    )

    done = events[-1]
    assert isinstance(done, ImageCompleted)
    assert Image.open(io.BytesIO(done.content)).size == (300, 200)
    inputs = {node["class_type"]: node["inputs"] for node in comfyui.prompts[0].values()}
    texts = [n["inputs"]["text"] for n in comfyui.prompts[0].values() if n["class_type"] == "CLIPTextEncode"]
    assert texts == ["a mug", "steam"]
    assert inputs["CheckpointLoaderSimple"]["ckpt_name"] == "house.safetensors"
    assert (inputs["EmptyLatentImage"]["width"], inputs["EmptyLatentImage"]["height"]) == (300, 200)
    assert inputs["KSampler"]["seed"] == 9


async def test_a_missing_checkpoint_is_named(comfyui: ComfyUIUpstream) -> None:
    with pytest.raises(UpstreamError, match=r"sd_xl_base_1\.0\.safetensors .* does not have") as raised:
        await run(comfyui.url, request(), workflow="product_shot_v1", placeholders={"checkpoint": ""})

    assert "`checkpoint`" in str(raised.value)


async def test_a_missing_checkpoint_of_the_caller_is_the_callers_error(comfyui: ComfyUIUpstream) -> None:
    asked = request(placeholders={"checkpoint": "mine.safetensors"})

    with pytest.raises(UnsupportedParameter) as raised:
        await run(comfyui.url, asked, workflow="product_shot_v1")

    assert raised.value.param == "placeholders"
    assert "mine" not in str(raised.value)


async def test_a_run_that_never_ends_is_cancelled(comfyui: ComfyUIUpstream) -> None:
    comfyui.misbehaviour = "hang"

    with pytest.raises(UpstreamTimeout):
        await run(comfyui.url, request(width=16, height=16), live=0.3)

    assert [where for where, _ in comfyui.called_off] == ["queue", "interrupt"]


async def test_closing_the_iterator_cancels_the_run(comfyui: ComfyUIUpstream) -> None:
    comfyui.misbehaviour = "hang"
    running = asyncio.create_task(run(comfyui.url, request(width=16, height=16)))
    await asyncio.wait_for(comfyui.queued.wait(), 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [where for where, _ in comfyui.called_off] == ["queue", "interrupt"]


async def test_a_comfyui_that_is_down_is_unavailable() -> None:
    with pytest.raises(UpstreamUnavailable):
        await run("http://127.0.0.1:9", request())


@pytest.mark.parametrize("misbehaviour", ["refuse", "error", "interrupted"])
async def test_a_finished_run_is_not_cancelled(comfyui: ComfyUIUpstream, misbehaviour: str) -> None:
    comfyui.misbehaviour = misbehaviour

    with pytest.raises(UpstreamError):
        await run(comfyui.url, request(width=16, height=16))

    assert comfyui.called_off == []


@pytest.mark.parametrize(
    "name", ["../smoke", "no-such", "smoke.json", "a/b", "..", "%2e%2e/smoke", "smoke\0"]
)
async def test_only_files_in_the_folder_are_workflows(comfyui: ComfyUIUpstream, name: str) -> None:
    with pytest.raises(UnsupportedParameter):
        await run(comfyui.url, request(workflow=name))
    assert comfyui.prompts == []


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"nodes": [], "links": []}', '{"1": {"class_type": 3, "inputs": {}}}']
)
async def test_a_broken_workflow_is_the_operators_error(
    comfyui: ComfyUIUpstream, tmp_path: Path, text: str
) -> None:
    (tmp_path / "own.json").write_text(text)

    with pytest.raises(UpstreamError, match="own"):
        await run(comfyui.url, request(workflow="own"), folder=tmp_path)


async def test_placeholders_keep_their_types_and_cannot_break_out(
    comfyui: ComfyUIUpstream, tmp_path: Path
) -> None:
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"text": "{{prompt}}!", "w": "{{width:64}}", "s": "{{style}}"},
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    (tmp_path / "own.json").write_text(json.dumps(graph))
    prompt = '"}, "x": {{seed}} \\ 고양이'

    await run(
        comfyui.url,
        request(prompt=prompt, workflow="own", width=99, placeholders={"style": "oil", "prompt": "other"}),
        folder=tmp_path,
    )

    assert comfyui.prompts[0]["1"]["inputs"] == {"text": f"{prompt}!", "w": 99, "s": "oil"}


async def test_a_placeholder_without_value_is_reported(comfyui: ComfyUIUpstream, tmp_path: Path) -> None:
    graph = {"1": {"class_type": "EmptyImage", "inputs": {"style": "{{style}}"}}}
    (tmp_path / "own.json").write_text(json.dumps(graph))

    with pytest.raises(UnsupportedParameter, match="style"):
        await run(comfyui.url, request(workflow="own"), folder=tmp_path)
