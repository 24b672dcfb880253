"""Images: generated, stored by content, shown to their owner, deleted with the account; on PostgreSQL."""

from __future__ import annotations

import asyncio
import base64
import errno
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import openai
import pytest
from PIL import Image

from gateway.core.blob_store import BlobStore
from gateway.core.ids import new_id
from tests.support.database import fetch_rows
from tests.support.gateway import PASSWORD, Account, Gateway, running_gateway
from tests.support.ledger_audit import wait_settled

GENERATE = "/api/v1/media/image/generate"
IMAGES = "/api/v1/media/images"
SMALL: dict[str, Any] = {"prompt": "", "width": 32, "height": 24}
CONFIG: dict[str, object] = {
    "providers": {"mock": {"type": "mock"}},
    "models": {
        "mock": {"provider": "mock", "model": "mock"},
        "draw": {"provider": "mock", "model": "mock", "capabilities": ["images"], "price": {"image": "0.02"}},
        "bad": {"provider": "mock", "model": "fail", "capabilities": ["images"], "price": {"image": "0.02"}},
        "empty": {"provider": "mock", "model": "no-image", "capabilities": ["images"]},
    },
    "aliases": {"pictures": ["bad", "draw"]},
    "media": {"default": "draw", "max_side": 256, "max_count": 3},
    "routing": {"light": "mock", "heavy": "mock"},
    "tiers": {"free": {"usd_per_month": "0.1"}},
}
Serve = Callable[[], AbstractAsyncContextManager[Gateway]]


@pytest.fixture(autouse=True)
def distinct_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test generates its own image: tests share rows, but no folder."""
    monkeypatch.setitem(SMALL, "prompt", f"a cat {new_id()}")


@pytest.fixture
def serve(database_url: str, clean_redis: str, tmp_path: Path) -> Serve:
    return lambda: running_gateway(database_url, clean_redis, tmp_path, CONFIG)


@pytest.fixture
async def gateway(serve: Serve) -> AsyncIterator[Gateway]:
    async with serve() as running:
        yield running


@pytest.fixture
async def person(gateway: Gateway) -> Account:
    return await gateway.sign_up()


def open_image(content: bytes) -> Image.Image:
    opened = Image.open(io.BytesIO(content))
    opened.load()
    return opened


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "media").rglob("*") if path.is_file()]


async def make(gateway: Gateway, person: Account, **fields: Any) -> dict[str, Any]:
    answer = await gateway.http.post(GENERATE, json={**SMALL, **fields}, headers=person.headers)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def ledger(gateway: Gateway, person: Account) -> list[dict[str, Any]]:
    return await fetch_rows(
        gateway.container.engine,
        "SELECT kind, model, provider, cost_usd, outcome FROM usage_records WHERE user_id = :u ORDER BY id",
        u=UUID(person.id),
    )


async def nothing_came_of_it(gateway: Gateway, person: Account, folder: Path) -> None:
    """Check that there is no file, no row, no charge and no reservation."""
    assert files(folder) == []
    listed = await gateway.http.get(IMAGES, headers=person.headers)
    assert listed.json()["items"] == []
    assert (await wait_settled(gateway.container.engine, person.id)).usd_used == 0


async def test_an_image_is_generated_listed_read_and_deleted(
    gateway: Gateway, person: Account, tmp_path: Path
) -> None:
    made = await make(gateway, person, seed=3, n=2)
    assert set(made) == {"images", "provider", "model", "seed", "cost_usd", "request_id"}
    assert (made["model"], made["provider"], made["seed"]) == ("draw", "mock", 3)
    assert made["cost_usd"] == "0.040000"
    first, second = made["images"]
    assert set(first) == {"id", "url", "width", "height", "content_type"}
    read = await gateway.http.get(first["url"], headers=person.headers)
    assert open_image(read.content).size == (32, 24) == (first["width"], first["height"])
    assert read.headers["content-type"] == "image/png" == first["content_type"]
    listed = (await gateway.http.get(IMAGES, headers=person.headers)).json()
    assert [item["id"] for item in listed["items"]] == [second["id"], first["id"]]
    assert listed["items"][1] == {
        **first,
        "prompt": SMALL["prompt"],
        "model": "draw",
        "provider": "mock",
        "seed": 3,
        "size": len(read.content),
        "created_at": listed["items"][1]["created_at"],
    }
    assert len(files(tmp_path)) == 2

    gone = await gateway.http.delete(f"{IMAGES}/{first['id']}", headers=person.headers)
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "DELETE"):
        again = await gateway.http.request(method, f"{IMAGES}/{first['id']}", headers=person.headers)
        assert (again.status_code, again.json()["error"]["code"]) == (404, "not_found")
    assert len(files(tmp_path)) == 1


async def test_images_are_paginated(gateway: Gateway, person: Account) -> None:
    made = (await make(gateway, person, n=3))["images"]
    one = (await gateway.http.get(IMAGES, params={"limit": 2}, headers=person.headers)).json()
    two = await gateway.http.get(IMAGES, params={"cursor": one["next_cursor"]}, headers=person.headers)
    found = [item["id"] for item in one["items"] + two.json()["items"]]
    assert found == [image["id"] for image in reversed(made)]
    assert two.json()["next_cursor"] is None


async def test_an_image_is_immutable_and_never_sniffed(gateway: Gateway, person: Account) -> None:
    url = (await make(gateway, person))["images"][0]["url"]
    read = await gateway.http.get(url, headers=person.headers)
    assert read.headers.get_list("x-content-type-options") == ["nosniff"]
    assert read.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "immutable" in read.headers["cache-control"]
    assert "private" in read.headers["cache-control"]
    etag = read.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        same = await gateway.http.get(url, headers={**person.headers, "if-none-match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    other = await gateway.http.get(url, headers={**person.headers, "if-none-match": '"other"'})
    assert other.status_code == 200


async def test_an_image_is_visible_to_its_owner_only(gateway: Gateway, person: Account) -> None:
    image = (await make(gateway, person))["images"][0]
    stranger = await gateway.sign_up()
    await make(gateway, stranger)  # the same image, by its content
    for method in ("GET", "DELETE"):
        answer = await gateway.http.request(method, image["url"], headers=stranger.headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert (await gateway.http.get(image["url"])).status_code == 401
    assert (await gateway.http.get(image["url"], headers=person.headers)).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../../jwt_secret",
        "..%2f..%2fjwt_secret",
        "%2e%2e%2fprovider_config.yaml",
        "..%5c..%5cwin.ini",
        "0" * 64,
        "not-an-id",
        "%00",
        "a" * 5000,
        "00000000-0000-0000-0000-000000000000",
    ],
)
async def test_an_id_cannot_reach_other_files(gateway: Gateway, person: Account, name: str) -> None:
    await make(gateway, person)
    answer = await gateway.http.get(
        httpx.URL(f"{gateway.url}{IMAGES}/").copy_with(raw_path=f"{IMAGES}/{name}".encode()),
        headers=person.headers,
    )
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 15),
        ("width", 257),
        ("height", 0),
        ("height", 10**30),
        ("n", 0),
        ("n", 4),
        ("n", 1.5),
        ("n", "2"),
        ("seed", -1),
        ("seed", 2**63),
        ("prompt", ""),
        ("prompt", "x" * 10_001),
        ("size", "1x1"),
        ("placeholders", {"a": ["list"]}),
    ],
)
async def test_values_out_of_bounds_are_named(
    gateway: Gateway, person: Account, tmp_path: Path, field: str, value: Any
) -> None:
    answer = await gateway.http.post(GENERATE, json={**SMALL, field: value}, headers=person.headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "validation_failed")
    assert error["param"].startswith(field)
    await nothing_came_of_it(gateway, person, tmp_path)


async def test_the_largest_seed_allows_several_images(gateway: Gateway, person: Account) -> None:
    answer = await gateway.http.post(
        GENERATE, json={**SMALL, "seed": 2**63 - 1, "n": 2}, headers=person.headers
    )
    assert answer.status_code == 200
    listed = (await gateway.http.get(IMAGES, headers=person.headers)).json()["items"]
    assert sorted(image["seed"] for image in listed) == [0, 2**63 - 1]


async def test_unstorable_text_is_rejected(gateway: Gateway, person: Account, tmp_path: Path) -> None:
    for prompt in ("a\0b", "\ud800"):
        answer = await gateway.http.post(
            GENERATE,
            content=json.dumps({**SMALL, "prompt": prompt}),
            headers={**person.headers, "content-type": "application/json"},
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_failed")
    await nothing_came_of_it(gateway, person, tmp_path)


async def test_images_survive_a_restart(serve: Serve) -> None:
    async with serve() as before:
        person = await before.sign_up()
        url = (await make(before, person))["images"][0]["url"]
        content = (await before.http.get(url, headers=person.headers)).content
    async with serve() as after:
        again = await after.http.get(url, headers=person.headers)
        assert (again.status_code, again.content) == (200, content)


@pytest.mark.parametrize("harm", [lambda content: content[:-1], lambda content: b"", lambda c: c[::-1], None])
async def test_a_changed_file_is_never_served(
    gateway: Gateway, person: Account, tmp_path: Path, harm: Callable[[bytes], bytes] | None
) -> None:
    url = (await make(gateway, person))["images"][0]["url"]
    whole = (await gateway.http.get(url, headers=person.headers)).content
    (file,) = files(tmp_path)
    file.unlink() if harm is None else file.write_bytes(harm(whole))
    broken = await gateway.http.get(url, headers=person.headers)
    assert (broken.status_code, broken.json()["error"]["code"]) == (404, "not_found")

    await make(gateway, person)  # the same image again, and so the file again
    assert (await gateway.http.get(url, headers=person.headers)).content == whole


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
async def test_a_full_disk_is_reported_and_costs_nothing(
    gateway: Gateway, person: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    kept: list[bytes] = []
    put = BlobStore.put

    async def second_fails(store: BlobStore, content: bytes) -> str:
        kept.append(content)
        if len(kept) == 2:
            raise OSError(number, "secret path")
        return await put(store, content)

    monkeypatch.setattr(BlobStore, "put", second_fails)
    answer = await gateway.http.post(GENERATE, json={**SMALL, "n": 2}, headers=person.headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (503, "unavailable_error", "overloaded")
    assert "stored" in error["message"]
    assert "secret" not in answer.text
    assert len(kept) == 2  # the first one was stored and deleted again
    await nothing_came_of_it(gateway, person, tmp_path)


async def test_images_are_in_the_usage_records_and_reports(gateway: Gateway, person: Account) -> None:
    await make(gateway, person, n=2)
    assert await ledger(gateway, person) == [
        {
            "kind": "image",
            "model": "draw",
            "provider": "mock",
            "cost_usd": Decimal("0.04"),
            "outcome": "ok",
        }
    ]
    used = (await gateway.http.get("/api/user/me/usage", headers=person.headers)).json()
    assert Decimal(used["month"]["cost_usd"]) == Decimal("0.04")


async def test_budgets_apply_to_images(gateway: Gateway, person: Account) -> None:
    answers = await asyncio.gather(
        *(gateway.http.post(GENERATE, json={**SMALL, "n": 2}, headers=person.headers) for _ in range(6))
    )
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) - len(refused) == 2  # of 0.10 dollars, at 0.04 each
    assert {(a.status_code, a.json()["error"]["code"]) for a in refused} == {(429, "budget_exceeded")}
    assert (await wait_settled(gateway.container.engine, person.id)).usd_used == Decimal("0.08")


@pytest.mark.parametrize(("model", "sentence"), [("bad", "reached or is failing"), ("empty", "no image")])
async def test_undelivered_images_are_not_charged(
    gateway: Gateway, person: Account, tmp_path: Path, model: str, sentence: str
) -> None:
    answer = await gateway.http.post(GENERATE, json={**SMALL, "model": model}, headers=person.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert sentence in answer.json()["error"]["message"]
    await nothing_came_of_it(gateway, person, tmp_path)
    (row,) = await ledger(gateway, person)
    assert (row["cost_usd"], row["outcome"]) == (0, "upstream_failed")


async def test_a_fallback_generates_what_the_first_model_cannot(gateway: Gateway, person: Account) -> None:
    answer = await gateway.http.post(GENERATE, json={**SMALL, "model": "pictures"}, headers=person.headers)
    assert answer.json()["model"] == "draw"
    assert answer.headers["x-fallback-model"] == "draw" == answer.headers["x-gateway-model"]
    assert answer.headers["x-gateway-provider"] == "mock"
    assert answer.headers["x-gateway-cost-usd"] == "0.020000"
    assert [row["outcome"] for row in await ledger(gateway, person)] == ["upstream_failed", "ok"]
    plain = await gateway.http.post(GENERATE, json=SMALL, headers=person.headers)
    assert "x-fallback-model" not in plain.headers


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": "nobody"}, 404, "model_not_found", "model"),
        ({"model": "mock"}, 400, "unsupported_parameter", "model"),
        ({"provider": "nobody"}, 400, "unsupported_parameter", "provider"),
    ],
)
async def test_a_provider_without_images_is_named(
    gateway: Gateway, person: Account, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    answer = await gateway.http.post(GENERATE, json={**SMALL, **fields}, headers=person.headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


async def test_progress_is_streamed(gateway: Gateway, person: Account) -> None:
    headers = {**person.headers, "accept": "text/event-stream"}
    answer = await gateway.http.post(GENERATE, json={**SMALL, "n": 2}, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [frame.split("\n") for frame in answer.text.strip().split("\n\n")]
    assert [frame[0] for frame in events] == ["id: 1", "id: 2", "id: 3"]
    assert [frame[1] for frame in events] == ["event: progress", "event: progress", "event: done"]
    assert events[1][2] == 'data: {"fraction":0.5,"step":"drawing"}'
    assert '"images":[{"id":' in events[2][2]


async def test_a_failure_before_the_first_event_has_its_own_status(gateway: Gateway, person: Account) -> None:
    headers = {**person.headers, "accept": "text/event-stream"}
    answer = await gateway.http.post(GENERATE, json={**SMALL, "model": "bad"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")


async def test_images_are_deleted_with_their_account_only(
    gateway: Gateway, person: Account, tmp_path: Path
) -> None:
    other = await gateway.sign_up()
    shared = (await make(gateway, other, seed=1))["images"][0]["url"]
    await make(gateway, person, seed=1, n=2)
    assert len(files(tmp_path)) == 2  # two accounts, one file of the first
    left = await gateway.http.request(
        "DELETE", "/api/user/me", json={"password": PASSWORD}, headers=person.headers
    )
    assert left.status_code == 204
    assert len(files(tmp_path)) == 1
    assert open_image((await gateway.http.get(shared, headers=other.headers)).content).size == (32, 24)


async def test_deleting_and_generating_the_same_image_concurrently_loses_no_file(gateway: Gateway) -> None:
    first, second = await gateway.sign_up(), await gateway.sign_up()
    for round_ in range(5):
        old = (await make(gateway, first, prompt=f"round {round_}"))["images"][0]["url"]
        made, deleted = await asyncio.gather(
            make(gateway, second, prompt=f"round {round_}", model="draw"),
            gateway.http.delete(old, headers=first.headers),
        )
        assert deleted.status_code == 204
        read = await gateway.http.get(made["images"][0]["url"], headers=second.headers)
        assert read.status_code == 200
        await gateway.http.delete(made["images"][0]["url"], headers=second.headers)


async def test_files_left_by_a_crash_are_deleted(
    gateway: Gateway, person: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (await make(gateway, person))["images"][0]["url"]
    (kept,) = files(tmp_path)
    store = BlobStore(tmp_path / "media")
    orphan = await store.put(b"nobody's")
    half = kept.with_name(f".{kept.name}.half")
    half.write_bytes(b"half")
    monkeypatch.setattr("gateway.services.generation.image_library._ORPHAN_AGE_SECONDS", 3600)
    await gateway.container.generation.image_library.delete_orphans()
    assert len(files(tmp_path)) == 3  # too recent: they may belong to a running request

    monkeypatch.setattr("gateway.services.generation.image_library._ORPHAN_AGE_SECONDS", -1)
    await gateway.container.generation.image_library.delete_orphans()
    assert files(tmp_path) == [kept]
    assert await store.get(orphan) is None
    assert (await gateway.http.get(url, headers=person.headers)).status_code == 200


async def test_openais_client_gets_images_in_both_formats(gateway: Gateway, person: Account) -> None:
    key = await gateway.create_api_key(person)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        inline = await client.images.generate(model="draw", prompt="a cat", size="64x32", n=2)  # type: ignore[call-overload]
        assert inline.data is not None
        images = [open_image(base64.b64decode(item.b64_json or "")) for item in inline.data]
        assert [opened.size for opened in images] == [(64, 32), (64, 32)]
        linked = await client.images.generate(model="draw", prompt="a cat", response_format="url")
        assert linked.data is not None
        url = linked.data[0].url
        assert url is not None
        read = await gateway.http.get(url, headers={"x-api-key": key})
        assert open_image(read.content).format == "PNG"
        with pytest.raises(openai.BadRequestError) as refused:
            await client.images.generate(model="draw", prompt="a cat", style="vivid")
        assert refused.value.param == "style"
        for size in ("0x0", "12", "64x", "9999x9999"):
            with pytest.raises(openai.UnprocessableEntityError) as wrong:
                await client.images.generate(model="draw", prompt="a cat", size=size)  # type: ignore[call-overload]
            assert wrong.value.body["param"] == "size"  # type: ignore[index]
        with pytest.raises(openai.NotFoundError):
            await client.images.generate(model="nobody", prompt="a cat")


async def test_a_key_needs_the_scope(gateway: Gateway, person: Account) -> None:
    url = (await make(gateway, person))["images"][0]["url"]
    without = {"x-api-key": await gateway.create_api_key(person, scopes=["chat", "embeddings"])}
    with_it = {"x-api-key": await gateway.create_api_key(person, scopes=["images"])}
    for method, path, body in (
        ("POST", GENERATE, SMALL),
        ("POST", "/v1/images/generations", {"prompt": "a cat", "size": "16x16"}),
        ("GET", IMAGES, None),
        ("GET", url, None),
    ):
        refused = await gateway.http.request(method, path, json=body, headers=without)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")
        assert (await gateway.http.request(method, path, json=body, headers=with_it)).status_code == 200


async def test_a_key_generates_images_with_its_models_only(gateway: Gateway, person: Account) -> None:
    key = {"x-api-key": await gateway.create_api_key(person, models=["pictures"])}
    allowed = await gateway.http.post(GENERATE, json={**SMALL, "model": "pictures"}, headers=key)
    assert allowed.json()["model"] == "draw"
    for model in ("draw", None):
        answer = await gateway.http.post(GENERATE, json={**SMALL, "model": model}, headers=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")


async def test_an_unknown_id_is_not_found(gateway: Gateway, person: Account) -> None:
    answer = await gateway.http.get(f"{IMAGES}/{new_id()}", headers=person.headers)
    assert answer.status_code == 404
