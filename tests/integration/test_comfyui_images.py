"""Images from ComfyUI through the whole gateway, with successes and failures."""

from __future__ import annotations

import asyncio
import base64
import io
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from PIL import Image

from tests.support.database import fetch_rows
from tests.support.gateway import Account, Gateway, running_gateway
from tests.support.ledger_audit import wait_settled
from tests.support.paths import PROJECT
from tests.support.upstreams.comfyui_server import ComfyUIUpstream, comfyui_server
from tests.support.upstreams.http_server import Raw, ReceivedCall, Refusal, Reply
from tests.support.upstreams.openai_server import OpenAIUpstream

GENERATE = "/api/v1/media/image/generate"
WORKFLOWS = PROJECT / "workflows"
ASKED: dict[str, Any] = {"prompt": "a cat", "width": 40, "height": 30}
Serve = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture
async def comfyui() -> AsyncIterator[ComfyUIUpstream]:
    async with comfyui_server() as upstream:
        yield upstream


@pytest.fixture
def serve(database_url: str, clean_redis: str, tmp_path: Path, comfyui: ComfyUIUpstream) -> Serve:
    shutil.copytree(WORKFLOWS, tmp_path / "workflows")

    def start(url: str = "", **sections: Any) -> AbstractAsyncContextManager[Gateway]:
        config: dict[str, Any] = {
            "providers": {
                "comfy": {
                    "type": "comfyui",
                    "base_url": url or comfyui.url,
                    "options": {"workflow": "smoke"},
                },
                "mock": {"type": "mock"},
            },
            "models": {
                "mock": {"provider": "mock", "model": "mock"},
                "flow": {
                    "provider": "comfy",
                    "model": "default",
                    "capabilities": ["images"],
                    "price": {"image": "0.01"},
                },
                "spare": {"provider": "mock", "model": "mock", "capabilities": ["images"]},
            },
            "routing": {"light": "mock", "heavy": "mock"},
            "tiers": {"free": {}},
            "media": {"max_side": 256},
            **sections,
        }
        return running_gateway(database_url, clean_redis, tmp_path, config)

    return start


@pytest.fixture
async def gateway(serve: Serve) -> AsyncIterator[Gateway]:
    async with serve() as running:
        yield running


@pytest.fixture
async def person(gateway: Gateway) -> Account:
    return await gateway.sign_up()


async def ask(gateway: Gateway, person: Account, **fields: Any) -> httpx.Response:
    return await gateway.http.post(GENERATE, json={**ASKED, **fields}, headers=person.headers)


async def nothing_came_of_it(gateway: Gateway, person: Account, folder: Path) -> None:
    assert not [path for path in (folder / "media").rglob("*") if path.is_file()]
    assert (
        await fetch_rows(
            gateway.container.engine, "SELECT 1 FROM images WHERE user_id = :u", u=UUID(person.id)
        )
        == []
    )
    assert (await wait_settled(gateway.container.engine, person.id)).usd_used == 0


async def test_a_workflow_becomes_a_stored_image(
    gateway: Gateway, person: Account, comfyui: ComfyUIUpstream
) -> None:
    answer = await ask(gateway, person, seed=9)
    body = answer.json()
    assert (body["model"], body["provider"], body["seed"], body["cost_usd"]) == (
        "flow",
        "comfy",
        9,
        "0.010000",
    )
    read = await gateway.http.get(body["images"][0]["url"], headers=person.headers)
    assert Image.open(io.BytesIO(read.content)).size == (40, 30)
    scale = comfyui.prompts[0]["2"]["inputs"]
    assert (scale["width"], scale["height"]) == (40, 30)


async def test_progress_names_the_nodes(gateway: Gateway, person: Account) -> None:
    headers = {**person.headers, "accept": "text/event-stream"}
    answer = await gateway.http.post(GENERATE, json=ASKED, headers=headers)
    steps = [line for line in answer.text.splitlines() if "step" in line]
    for node in ("1 (EmptyImage)", "2 (ImageScale)", "3 (SaveImage)"):
        assert sum(node in step for step in steps) == 1
    assert answer.text.count("event: done") == 1
    assert "event: error" not in answer.text


@pytest.mark.parametrize(
    ("misbehaviour", "sentence"),
    [
        ("refuse", "rejected the workflow smoke at node 2 (ImageScale)"),
        ("error", "failed at node 2 (ImageScale): IndexError"),
        ("interrupted", "was interrupted"),
        ("empty", "saved no image"),
        ("html", "not a complete image"),
        ("cut", "not a complete image"),
        ("die", "has lost the run"),
        ("garbage", "truncated or malformed"),
    ],
)
async def test_a_failed_run_reports_the_reason_and_stores_nothing(
    gateway: Gateway,
    person: Account,
    comfyui: ComfyUIUpstream,
    tmp_path: Path,
    misbehaviour: str,
    sentence: str,
) -> None:
    comfyui.misbehaviour = misbehaviour
    answer = await ask(gateway, person)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (502, "upstream_error", "upstream_failed")
    assert sentence in error["message"]
    assert "secret" not in answer.text
    await nothing_came_of_it(gateway, person, tmp_path)


async def test_a_failure_during_a_stream_ends_it_with_the_error(
    gateway: Gateway, person: Account, comfyui: ComfyUIUpstream, tmp_path: Path
) -> None:
    comfyui.misbehaviour = "error"
    headers = {**person.headers, "accept": "text/event-stream"}
    answer = await gateway.http.post(GENERATE, json=ASKED, headers=headers)
    last = answer.text.strip().split("\n\n")[-1]
    assert answer.status_code == 200
    assert "event: error" in last
    assert "failed at node 2 (ImageScale): IndexError" in last
    assert "event: done" not in answer.text
    await nothing_came_of_it(gateway, person, tmp_path)


async def test_a_lost_socket_loses_no_image(
    gateway: Gateway, person: Account, comfyui: ComfyUIUpstream
) -> None:
    comfyui.misbehaviour = "drop"
    assert (await ask(gateway, person)).status_code == 200


async def test_an_unknown_workflow_or_placeholder_is_the_callers_error(
    gateway: Gateway, person: Account, comfyui: ComfyUIUpstream, tmp_path: Path
) -> None:
    (tmp_path / "workflows" / "own.json").write_text(
        '{"1": {"class_type": "EmptyImage", "inputs": {"style": "{{style}}"}}}'
    )
    for fields, param in (
        ({"workflow": "nobody"}, "workflow"),
        ({"workflow": "../provider_config"}, "workflow"),
        ({"workflow": "own"}, "placeholders"),
        ({"workflow": "own", "placeholders": {"style": "x", "colour": "red"}}, "placeholders"),
    ):
        answer = await ask(gateway, person, **fields)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", param)
    assert comfyui.prompts == []
    await nothing_came_of_it(gateway, person, tmp_path)


async def test_an_unreachable_comfyui_opens_its_circuit_breaker(serve: Serve, tmp_path: Path) -> None:
    async with serve("http://127.0.0.1:9", circuit_breaker={"failures": 2, "reset_seconds": 60}) as gateway:
        person = await gateway.sign_up()
        answers = [await ask(gateway, person) for _ in range(3)]
        codes = [(answer.status_code, answer.json()["error"]["code"]) for answer in answers]
        assert codes == [(502, "upstream_failed"), (502, "upstream_failed"), (503, "circuit_open")]
        assert answers[0].json()["error"]["message"] == "ComfyUI cannot be reached."
        assert int(answers[2].headers["retry-after"]) >= 1
        await nothing_came_of_it(gateway, person, tmp_path)


async def test_failing_workflows_do_not_open_the_circuit_breaker(
    serve: Serve, comfyui: ComfyUIUpstream
) -> None:
    async with serve(circuit_breaker={"failures": 2, "reset_seconds": 60}) as gateway:
        person = await gateway.sign_up()
        comfyui.misbehaviour = "error"
        for _ in range(3):
            assert (await ask(gateway, person)).status_code == 502
        comfyui.misbehaviour = ""
        assert (await ask(gateway, person)).status_code == 200


async def test_another_model_is_the_fallback(serve: Serve, comfyui: ComfyUIUpstream) -> None:
    async with serve(fallbacks={"flow": ["spare"]}) as gateway:
        person = await gateway.sign_up()
        comfyui.misbehaviour = "error"
        answer = await ask(gateway, person)
        assert (answer.status_code, answer.json()["model"]) == (200, "spare")
        assert answer.headers["x-fallback-model"] == "spare"
        booked = await wait_settled(gateway.container.engine, person.id)
        assert booked.usd_used == Decimal(0)


async def test_closing_the_iterator_cancels_the_run(
    gateway: Gateway, person: Account, comfyui: ComfyUIUpstream, tmp_path: Path
) -> None:
    comfyui.misbehaviour = "hang"
    for accept in ("application/json", "text/event-stream"):
        comfyui.queued.clear()
        comfyui.called_off.clear()
        headers = {**person.headers, "accept": accept}
        leaving = asyncio.create_task(gateway.http.post(GENERATE, json=ASKED, headers=headers))
        await asyncio.wait_for(comfyui.queued.wait(), 30)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        async with asyncio.timeout(30):
            while len(comfyui.called_off) < 2:  # noqa: ASYNC110 - the server's own list
                await asyncio.sleep(0.01)
        assert [where for where, _ in comfyui.called_off] == ["queue", "interrupt"]
    outcomes = "SELECT outcome FROM usage_records WHERE user_id = :u"
    async with asyncio.timeout(30):
        # ComfyUI hears of it before the ledger does.
        while len(recorded := await fetch_rows(gateway.container.engine, outcomes, u=UUID(person.id))) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [row["outcome"] for row in recorded] == ["cancelled", "cancelled"]
    await nothing_came_of_it(gateway, person, tmp_path)


async def test_a_run_that_takes_too_long_is_cancelled(serve: Serve, comfyui: ComfyUIUpstream) -> None:
    async with serve(timeouts={"live": 0.5}) as gateway:
        person = await gateway.sign_up()
        comfyui.misbehaviour = "hang"
        answer = await ask(gateway, person)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
        assert ("interrupt" in dict(comfyui.called_off)) is True


class ImagesUpstream(OpenAIUpstream):
    """OpenAI's `/images/generations`: every answer is whatever JSON `data` is."""

    data: list[Any]

    def json_body(self, reply: Reply, call: ReceivedCall) -> bytes:
        return orjson.dumps({"created": 1, "data": self.data})


@pytest.fixture
async def vendor() -> AsyncIterator[ImagesUpstream]:
    async with ImagesUpstream() as upstream:
        yield upstream


def by_vendor(upstream: OpenAIUpstream) -> dict[str, Any]:
    return {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}, "mock": {"type": "mock"}},
        "models": {
            "mock": {"provider": "mock", "model": "mock"},
            "gpt": {
                "provider": "up",
                "model": "gpt-image-1",
                "capabilities": ["images"],
                "price": {"image": "0.04"},
            },
        },
    }


async def test_openais_images_are_stored_and_charged(serve: Serve, vendor: ImagesUpstream) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "WEBP")
    vendor.data = [{"b64_json": base64.b64encode(buffer.getvalue()).decode()}]
    async with serve(**by_vendor(vendor)) as gateway:
        person = await gateway.sign_up()
        body = (await ask(gateway, person)).json()
        assert (body["images"][0]["content_type"], body["cost_usd"]) == ("image/webp", "0.040000")
        assert vendor.calls[0].path == "/v1/images/generations"
        assert vendor.calls[0].body == {"model": "gpt-image-1", "prompt": "a cat", "n": 1, "size": "40x30"}
        read = await gateway.http.get(body["images"][0]["url"], headers=person.headers)
        assert (read.content, read.headers["content-type"]) == (buffer.getvalue(), "image/webp")
        assert (await ask(gateway, person, negative_prompt="dogs")).status_code == 200
        assert vendor.calls[1].body["prompt"] == "a cat\n\nNot in the image: dogs"
        for field, value in (("seed", 0), ("workflow", "smoke"), ("placeholders", {"a": 1})):
            refused = await ask(gateway, person, **{field: value})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize(
    "data", [[], [{}], [{"b64_json": "%%%"}], [{"b64_json": ""}], [{"b64_json": "aGVsbG8="}], "text", None]
)
async def test_content_that_is_not_an_image_is_not_stored(
    serve: Serve, vendor: ImagesUpstream, tmp_path: Path, data: Any
) -> None:
    vendor.data = data
    async with serve(**by_vendor(vendor)) as gateway:
        person = await gateway.sign_up()
        answer = await ask(gateway, person)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
        await nothing_came_of_it(gateway, person, tmp_path)


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (Refusal(400), 400),
        (Refusal(401), 502),
        (Refusal(429), 429),
        (Refusal(500), 502),
        (Raw([b"<html>"], "text/html"), 502),
        (Reply(fault="cut"), 502),
    ],
)
async def test_a_vendors_errors_keep_their_meaning(
    serve: Serve, vendor: ImagesUpstream, tmp_path: Path, step: Any, status: int
) -> None:
    vendor.data = []
    vendor.script(step)
    async with serve(**by_vendor(vendor)) as gateway:
        person = await gateway.sign_up()
        answer = await ask(gateway, person)
        assert answer.status_code == status
        # Only a refusal of the request itself passes the vendor's words on, without keys and input.
        assert ("vendor secret detail" in answer.text) is (status == 400)
        await nothing_came_of_it(gateway, person, tmp_path)
