"""`/api/conversations`, from the request's bytes to the database and back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import Headers

from gateway.core.database import create_engine, create_session_factory
from gateway.core.ids import new_id
from gateway.core.ref_count import RefCount
from gateway.core.settings import Settings
from gateway.domain.accounts.principal import Principal
from gateway.domain.money import Usage
from gateway.middleware import install_middleware
from gateway.repositories import bounded_pages
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.routers.api import conversations
from gateway.routers.errors import install_error_handlers
from gateway.services.chat import conversations as conversation_service
from gateway.services.chat.conversations import ConversationService
from tests.support.database import (
    begin_turn,
    complete_turn,
    create_account,
    fetch_rows,
    finish_turn,
    usage_entry,
)


class ByHeader:
    """Authenticates the account that `x-user` names."""

    async def authenticate(self, headers: Headers, rate_category: str) -> Principal:
        kind = "api_key" if headers.get("x-kind") == "key" else "user"
        return Principal(user_id=UUID(headers["x-user"]), kind=kind)

    def enforce_rate_limit(self, principal: Principal) -> None:
        """Limits are tested elsewhere."""


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=3)
    yield engine
    await engine.dispose()


@pytest.fixture
def turns(engine: AsyncEngine) -> TurnRepository:
    return TurnRepository(engine)


@pytest.fixture
async def user(engine: AsyncEngine) -> UUID:
    return await create_account(engine)


@pytest.fixture
async def client(engine: AsyncEngine, user: UUID) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(redirect_slashes=False)
    app.include_router(conversations.router)
    install_error_handlers(app)
    install_middleware(app, Settings(_env_file=None))
    service = ConversationService(partial(UnitOfWork, create_session_factory(engine)), ("auto", "small"))
    app.state.container = SimpleNamespace(
        chat=SimpleNamespace(conversations=service),
        accounts=SimpleNamespace(authenticator=ByHeader()),
        references=RefCount(),
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway", headers={"x-user": str(user)}
    ) as client:
        yield client


def code(response: httpx.Response) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


async def test_a_conversation_is_created_read_renamed_and_deleted(client):
    created = await client.post("/api/conversations/", json={"title": "  A\n title ", "model": "small"})
    assert created.status_code == 201
    body = created.json()
    assert set(body) == {
        "id", "title", "model", "system", "head_id", "running_message_id", "created_at", "updated_at",
    }  # fmt: skip
    assert (body["title"], body["model"], body["system"], body["head_id"]) == ("A title", "small", None, None)
    path = f"/api/conversations/{body['id']}"
    assert (await client.get(path)).json() == {**body, "messages": []}
    changed = (await client.patch(path, json={"title": "Other", "system": "Be kind.", "model": None})).json()
    assert (changed["title"], changed["system"], changed["model"]) == ("Other", "Be kind.", None)
    assert changed["updated_at"] > body["updated_at"]
    assert (await client.patch(path, json={})).json() == changed
    deleted = await client.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert code(await client.get(path)) == (404, "not_found", None)
    assert code(await client.delete(path)) == (404, "not_found", None)


async def test_the_current_branch_is_part_of_the_conversation(client, turns, user):
    first = await complete_turn(turns, user, "q1", "a1", title="T")
    second = await complete_turn(turns, user, "q2", "a2", conversation_id=first.conversation_id)
    edit = await complete_turn(
        turns, user, "q2b", "a2b", conversation_id=first.conversation_id, parent_id=first.answer_id
    )
    path = f"/api/conversations/{first.conversation_id}"
    read = (await client.get(path)).json()
    assert [message["content"] for message in read["messages"]] == ["q1", "a1", "q2b", "a2b"]
    assert read["head_id"] == str(edit.answer_id)
    moved = await client.patch(path, json={"head_id": str(second.answer_id)})
    assert moved.json()["head_id"] == str(second.answer_id)
    read = (await client.get(path)).json()
    assert [message["content"] for message in read["messages"]] == ["q1", "a1", "q2", "a2"]


async def test_messages_of_all_branches_are_listed_in_pages(client, turns, user):
    first = await complete_turn(turns, user, "q1", "a1")
    again = await complete_turn(
        turns, user, "q2", "a2", conversation_id=first.conversation_id, parent_id=first.question_id
    )
    third = await complete_turn(
        turns, user, "q3", "a3", conversation_id=first.conversation_id, parent_id=first.answer_id
    )
    path = f"/api/conversations/{first.conversation_id}/messages"
    found, cursor = [], None
    for _ in range(3):
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await client.get(path, params=query)).json()
        found += page["items"]
        cursor = page["next_cursor"]
    assert cursor is None
    assert [(message["content"], message["parent_id"]) for message in found] == [
        ("q1", None),
        ("a1", str(first.question_id)),
        ("q2", str(first.question_id)),
        ("a2", str(again.question_id)),
        ("q3", str(first.answer_id)),
        ("a3", str(third.question_id)),
    ]
    everything = (await client.get(path)).json()
    assert everything["items"] == found
    assert everything["next_cursor"] is None


async def test_a_message_has_the_shape_of_an_answer(client, turns, user):
    begun = await begin_turn(turns, user, "q1", metadata={"from": "test"})
    await finish_turn(
        turns,
        begun,
        "a1",
        model="small",
        provider="mock",
        finish_reason="stop",
        usage=Usage(17, 24),
        cost_usd=Decimal("0.00012345"),
        receipt={"intent": "chat"},
        calls=[usage_entry()],
    )
    path = f"/api/conversations/{begun.conversation_id}"
    question, answer = (await client.get(path)).json()["messages"]
    created_at = answer.pop("created_at")
    assert created_at.endswith(("Z", "+00:00"))
    assert answer == {
        "id": str(begun.answer_id),
        "parent_id": str(begun.question_id),
        "role": "assistant",
        "content": "a1",
        "status": "complete",
        "model": "small",
        "provider": "mock",
        "finish_reason": "stop",
        "usage": {
            "prompt_tokens": 17,
            "completion_tokens": 24,
            "total_tokens": 41,
            "cached_tokens": 0,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
        },
        "cost_usd": "0.000123",
        "receipt": {"intent": "chat"},
        "tool_calls": None,
        "error": None,
        "details": None,
        "metadata": {},
        "request_id": None,
        "siblings": [str(begun.answer_id)],
    }
    assert (question["role"], question["metadata"], question["cost_usd"]) == (
        "user",
        {"from": "test"},
        "0.000000",
    )


async def test_a_running_turn_is_shown_and_an_orphaned_one_is_not(client, turns, user):
    alive = await begin_turn(turns, user, "q1")
    dead = await begin_turn(turns, user, "q1", lease_seconds=0)
    shown = (await client.get(f"/api/conversations/{alive.conversation_id}")).json()
    assert shown["running_message_id"] == str(alive.answer_id)
    assert shown["messages"][-1]["status"] == "pending"
    shown = (await client.get(f"/api/conversations/{dead.conversation_id}")).json()
    assert shown["running_message_id"] is None


async def test_the_list_pages_newest_first_without_gaps_or_repeats(client, turns, user, engine):
    made = [(await client.post("/api/conversations", json={"title": f"c{n}"})).json()["id"] for n in range(7)]
    # Rows of one transaction share their time: the id decides, and no page may stumble over it.
    await fetch_rows(
        engine, "UPDATE conversations SET updated_at = now() WHERE user_id = :u RETURNING 1", u=user
    )
    await complete_turn(turns, user, "q", "a", conversation_id=UUID(made[2]))
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/api/conversations", params=query)).json()
        found += [item["id"] for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert pages == 3
    assert found == [made[2], *sorted((set(made) - {made[2]}), reverse=True)]


async def test_a_search_matches_titles_and_messages_of_the_owner_only(client, turns, engine, user):
    by_title = (await client.post("/api/conversations", json={"title": "Über 100% Wolle_"})).json()["id"]
    by_answer = await complete_turn(turns, user, "What is it?", "A bird of Wool.")
    await complete_turn(turns, await create_account(engine), "wool", "wool")
    await client.post("/api/conversations", json={"title": "cotton"})

    async def found(words: str) -> set[str]:
        page = (await client.get("/api/conversations", params={"q": words})).json()
        return {item["id"] for item in page["items"]}

    assert await found("WOLLE") == {by_title}
    assert await found(" wool ") == {str(by_answer.conversation_id)}
    assert await found("100%") == await found("_") == {by_title}
    assert await found("%") == {by_title}
    assert await found("silk") == set()
    assert len(await found("")) == 3
    assert code(await client.get("/api/conversations?q=a%00b"))[:2] == (422, "validation_failed")


async def test_a_search_shows_an_excerpt_of_the_newest_match(client, turns, user):
    await client.post("/api/conversations", json={"title": "A heron"})
    first = await complete_turn(
        turns, user, "Which bird stands in the pond?", "A heron\nstands there.", title="Birds"
    )
    long = "한국어 문장입니다 " * 20
    second = await begin_turn(turns, user, "And now?", conversation_id=first.conversation_id)
    await finish_turn(turns, second, f"{long}the grey HERON flies away. {long}")
    items = (await client.get("/api/conversations", params={"q": "heron"})).json()["items"]
    assert [item["title"] for item in items] == ["Birds", "A heron"]
    assert items[1]["hit"] is None
    hit = items[0]["hit"]
    assert (hit["message_id"], hit["match"]) == (str(second.answer_id), "HERON")
    assert (hit["before"][0], hit["after"][-1]) == ("…", "…")
    assert hit["before"].endswith("입니다 the grey ")
    assert hit["after"].startswith(" flies away. 한국어")
    assert max(len(hit["before"]), len(hit["after"])) <= 61
    items = (await client.get("/api/conversations", params={"q": "bird stands"})).json()["items"]
    assert items[0]["hit"] == {
        "message_id": str(first.question_id),
        "before": "Which ",
        "match": "bird stands",
        "after": " in the pond?",
    }
    listed = (await client.get("/api/conversations")).json()["items"]
    assert [item["hit"] for item in listed] == [None, None]


async def test_the_pages_of_a_search_have_their_hits(client, turns, user):
    said = [
        await complete_turn(turns, user, f"Question {number}", f"Answer {number}: moss")
        for number in range(3)
    ]
    found, cursor = [], None
    for _ in range(3):
        query = {"q": "MOSS", "limit": 1, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/api/conversations", params=query)).json()
        found += [(item["hit"]["message_id"], item["hit"]["before"]) for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert found == [(str(one.answer_id), f"Answer {number}: ") for number, one in [*enumerate(said)][::-1]]


async def test_a_malformed_cursor_is_rejected(client):
    for _ in range(2):
        await client.post("/api/conversations", json={})
    cursor = (await client.get("/api/conversations", params={"limit": 1})).json()["next_cursor"]
    for place in range(len(cursor)):
        wrong = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        response = await client.get("/api/conversations", params={"cursor": wrong})
        assert code(response) == (422, "validation_failed", "cursor")


async def test_a_page_that_ends_the_list_exactly_has_no_next(client):
    for _ in range(2):
        await client.post("/api/conversations", json={})
    page = (await client.get("/api/conversations", params={"limit": 2})).json()
    assert (len(page["items"]), page["next_cursor"]) == (2, None)


async def test_other_accounts_conversations_are_not_found(client, turns, engine, user):
    theirs = await complete_turn(turns, await create_account(engine), "q", "a")
    mine = await complete_turn(turns, user, "q", "a")
    path = f"/api/conversations/{theirs.conversation_id}"
    for response in (
        await client.get(path),
        await client.get(f"{path}/messages"),
        await client.patch(path, json={"title": "mine now"}),
        await client.delete(path),
        await client.patch(
            f"/api/conversations/{mine.conversation_id}", json={"head_id": str(theirs.answer_id)}
        ),
    ):
        assert code(response) == (404, "not_found", None)
    listed = (await client.get("/api/conversations")).json()["items"]
    assert [item["id"] for item in listed] == [str(mine.conversation_id)]
    assert await fetch_rows(engine, "SELECT 1 FROM conversations WHERE id = :id", id=theirs.conversation_id)


@pytest.mark.parametrize(
    "bad",
    [
        "x",
        "0" * 32,
        "{01890000-0000-7000-8000-000000000000}",
        "a" * 5000,
        "%00",
        "1_890000-0000-7000-8000-000000000000",
    ],
)
async def test_a_malformed_id_is_not_found(client, bad):
    for method, path, body in (
        ("GET", f"/api/conversations/{bad}", None),
        ("GET", f"/api/conversations/{bad}/messages", None),
        ("DELETE", f"/api/conversations/{bad}", None),
        ("PATCH", f"/api/conversations/{bad}", {"title": "t"}),
    ):
        assert code(await client.request(method, path, json=body)) == (404, "not_found", None)


@pytest.mark.parametrize("bad", ["", "A" * 35 + "=", "_" * 36, "A" * 35 + "B", "é" * 36, "A" * 999, "';--"])
async def test_a_broken_cursor_is_a_422_that_names_it(client, user, turns, bad):
    mine = await complete_turn(turns, user, "q", "a")
    for path in ("/api/conversations", f"/api/conversations/{mine.conversation_id}/messages"):
        assert code(await client.get(path, params={"cursor": bad})) == (422, "validation_failed", "cursor")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1e9", "99999999999999999999"])
async def test_a_limit_out_of_range_is_a_422_that_names_it(client, limit):
    response = await client.get("/api/conversations", params={"limit": limit})
    assert code(response) == (422, "validation_failed", "limit")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"titel": "typo"}, "titel"),
        ({"title": 7}, "title"),
        ({"title": None}, "title"),
        ({"title": " \n "}, "title"),
        ({"title": "a\u0007b"}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"system": "x" * 100_001}, "system"),
        ({"head_id": None}, "head_id"),
        ({"user_id": str(new_id())}, "user_id"),
        ([], None),
        (None, None),
    ],
)
async def test_a_wrong_field_is_a_422_that_names_it(client, body, param):
    created = (await client.post("/api/conversations", json={})).json()
    response = await client.patch(f"/api/conversations/{created['id']}", json=body)
    assert code(response) == (422, "validation_failed", param)


@pytest.mark.parametrize("text", [r'{"title": "a\u0000b"}', r'{"title": "a\ud800b"}', '{"title": NaN}', "{"])
async def test_text_that_cannot_be_stored_is_a_422(client, text):
    response = await client.post(
        "/api/conversations", content=text.encode(), headers={"content-type": "application/json"}
    )
    assert response.status_code == 422


async def test_a_head_outside_the_conversation_is_not_found(client, turns, user):
    mine, other = await complete_turn(turns, user, "q", "a"), await complete_turn(turns, user, "q", "a")
    path = f"/api/conversations/{mine.conversation_id}"
    for head in (str(other.answer_id), str(new_id()), "x"):
        assert code(await client.patch(path, json={"head_id": head})) == (404, "not_found", None)
    assert (await client.get(path)).json()["head_id"] == str(mine.answer_id)


async def test_an_unknown_model_is_not_found(client):
    assert code(await client.post("/api/conversations", json={"model": "gpt-9"}))[:2] == (
        404,
        "model_not_found",
    )
    created = (await client.post("/api/conversations", json={"model": "auto"})).json()
    response = await client.patch(f"/api/conversations/{created['id']}", json={"model": "gpt-9"})
    assert code(response)[:2] == (404, "model_not_found")


async def test_api_keys_cannot_read_a_users_conversations(client):
    assert code(await client.get("/api/conversations", headers={"x-kind": "key"}))[:2] == (403, "forbidden")


async def test_paths_work_with_a_trailing_slash(client, turns, user):
    mine = await complete_turn(turns, user, "q", "a")
    for path in ("", f"/{mine.conversation_id}", f"/{mine.conversation_id}/messages"):
        bare = await client.get(f"/api/conversations{path}")
        slashed = await client.get(f"/api/conversations{path}/")
        assert bare.status_code == slashed.status_code == 200
        assert json.loads(bare.content) == json.loads(slashed.content)


async def _long_conversation(turns: TurnRepository, user: UUID) -> str:
    first = await complete_turn(turns, user, "q1", "안녕 " * 500)
    for at in range(4):
        await complete_turn(turns, user, f"q{at + 2}", "long " * 800, conversation_id=first.conversation_id)
    return f"/api/conversations/{first.conversation_id}"


async def test_a_conversation_is_read_completely_in_small_batches(client, turns, user, monkeypatch):
    path = await _long_conversation(turns, user)
    at_once = (await client.get(path)).json()
    assert len(at_once["messages"]) == 10
    monkeypatch.setattr(conversation_service, "BATCH_BYTES", 1)
    assert (await client.get(path)).json() == at_once
    monkeypatch.setattr(conversation_service, "BATCH_MESSAGES", 3)
    monkeypatch.setattr(conversation_service, "BATCH_BYTES", 10**9)
    assert (await client.get(path)).json() == at_once


async def test_a_page_of_long_messages_is_shorter(client, turns, user, monkeypatch):
    path = await _long_conversation(turns, user) + "/messages"
    whole = (await client.get(path)).json()["items"]
    monkeypatch.setattr(bounded_pages, "MAX_PAGE_BYTES", 1000)
    read, query, pages = [], {}, 0
    while query is not None:
        page = (await client.get(path, params=query)).json()
        assert page["items"]
        read, pages = read + page["items"], pages + 1
        query = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert read == whole
    assert pages == 5


async def test_a_list_of_long_conversations_comes_in_shorter_pages(client, monkeypatch):
    for at in range(3):
        body = {"title": f"No. {at}", "system": "s" * 900}
        assert (await client.post("/api/conversations", json=body)).status_code == 201
    whole = (await client.get("/api/conversations")).json()["items"]
    monkeypatch.setattr(bounded_pages, "MAX_PAGE_BYTES", 1000)
    page = (await client.get("/api/conversations")).json()
    assert page["items"] == whole[:2]
    rest = (await client.get("/api/conversations", params={"cursor": page["next_cursor"]})).json()
    assert (page["items"] + rest["items"], rest["next_cursor"]) == (whole, None)
