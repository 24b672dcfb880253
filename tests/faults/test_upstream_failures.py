"""Upstreams that fail in every way, before and after the first token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.summary import RecordFault
from tests.support.consistency import ClientResponse
from tests.support.two_worker_stage import (
    UPSTREAM_KEY,
    Caller,
    TwoWorkerStage,
    create_completion,
    send_request,
    stream_turn,
    two_worker_stage,
)
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.gemini_server import GeminiUpstream
from tests.support.upstreams.http_server import Raw, Refusal, Reply, Silence, Step, UpstreamServer
from tests.support.upstreams.ollama_server import OllamaUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROW = "reset, cut, silence, garbage from upstream, before and after the first token"
FIRST_TOKEN, LIVE = 0.6, 1.2  # the configured times, in seconds
MARGIN = 3.0  # what a busy machine may add
SAID = ("Hello", ", ", "world", "!")
MEGABYTE = b"x" * (1 << 20)

WIRES: dict[str, type[UpstreamServer]] = {
    "openai": OpenAIUpstream,
    "ollama": OllamaUpstream,
    "anthropic": AnthropicUpstream,
    "gemini": GeminiUpstream,
}


def _absurd(value: str) -> Refusal:
    return Refusal(429, headers={"retry-after": value})


# Before the first word. What a whole answer is broken with differs only where the step says nothing of it.
EARLY: dict[str, Step] = {
    "silence": Silence(),
    "silence after the headers": Reply(fault="hang", after=0),
    "reset": Reply(fault="reset", after=0),
    "cut": Reply(fault="cut", after=0),
    "garbage": Reply(fault="garbage", after=0),
    "half a character": Reply(fault="half_utf8", after=0),
    "an error in the stream": Reply(fault="error", after=0),
    "a line of 100 MB": Raw([b"data: " + MEGABYTE, *[MEGABYTE] * 99], content_type="own"),
    "a page": Raw([b"<html>Please sign in.</html>"], content_type="text/html"),
    "another content type": Raw([b'{"fine": true}'], content_type="application/octet-stream"),
    "nothing": Raw([b""], content_type="own"),
    "500": Refusal(500),
    "503 with a wait": Refusal(503, headers={"retry-after": "30"}),
    "429": Refusal(429),
    "429, seconds": _absurd("7"),
    "429, a date": _absurd("Fri, 31 Dec 2099 23:59:59 GMT"),
    "429, a past date": _absurd("Mon, 01 Jan 2001 00:00:00 GMT"),
    "429, absurd": _absurd("9" * 300),
    "429, negative": _absurd("-5"),
    "429, words": _absurd("after lunch"),
    "429, endless": _absurd("inf"),
}
LATE: dict[str, Reply] = {
    "silence": Reply(fault="hang"),
    "reset": Reply(fault="reset"),
    "cut": Reply(fault="cut"),
    "garbage": Reply(fault="garbage"),
    "half a character": Reply(fault="half_utf8"),
    "an error in the stream": Reply(fault="error"),
}
# What is decided by the shared half of the wires is asked of one of them; the others' own halves take time.
_SHARED = ("a page", "another content type", "500", "503", "429")
OPENAI_FIRST = [pytest.param(wire, marks=[] if wire == "openai" else [pytest.mark.slow]) for wire in WIRES]
EARLY_BY_WIRE = [
    pytest.param(wire, case, marks=[] if wire == "openai" else [pytest.mark.slow])
    for wire in WIRES
    for case in EARLY
    if wire == "openai" or not case.startswith(_SHARED)
]


@dataclass
class Scene:
    """Both workers, and the upstream of one wire among all there are."""

    stage: TwoWorkerStage
    wire: str

    def model(self, case: str) -> str:
        """Each case asks a model of its own, which has not been spared for an earlier one."""
        return f"{self.wire}-{case.replace(' ', '-')}"

    def script(self, step: Step) -> UpstreamServer:
        up = self.stage.upstreams[self.wire]
        if isinstance(step, Raw) and step.content_type == "own":
            step = Raw(step.pieces, up.stream_type, step.ending)
        up.script(step)
        return up


def _config(spare: str, **wires: str) -> dict[str, Any]:
    cases = [*EARLY, *(f"late {case}" for case in LATE)]
    models = {
        f"{wire}-{case}{alone}".replace(" ", "-"): {"provider": wire, "model": "v"}
        for wire in wires
        for case in cases
        for alone in ("", " alone")
    }
    names = list(models)
    return {
        "providers": {
            "spare": {"type": "openai", "base_url": spare, "api_key": UPSTREAM_KEY},
            **{wire: {"type": wire, "base_url": url, "api_key": UPSTREAM_KEY} for wire, url in wires.items()},
        },
        "models": {**models, "spare": {"provider": "spare", "model": "v-spare"}},
        "routing": {"light": "spare", "heavy": "spare"},
        "fallbacks": {name: ["spare"] for name in names if not name.endswith("-alone")},
        "timeouts": {"first_token": FIRST_TOKEN, "live": LIVE, "stream": LIVE, "connect": 1},
        "retry": {"attempts": 1},
        "circuit_breaker": {"failures": 100_000},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
        "tiers": {"free": {"usd_per_month": 1000}},
    }


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def played(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TwoWorkerStage]:
    ups: dict[str, UpstreamServer] = {"spare": OpenAIUpstream()} | {w: kind() for w, kind in WIRES.items()}
    directory = tmp_path_factory.mktemp("upstreams")
    async with two_worker_stage(database_url, redis_url, directory, _config, ups) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def account(played: TwoWorkerStage) -> Caller:
    """One account for all; its first turns load the vendors' packages, which would take a model's time."""
    caller = await played.add_caller()
    for wire in WIRES:
        for door in played.workers:
            await create_completion(door, caller, model=f"{wire}-500")
    return caller


@pytest_asyncio.fixture(loop_scope="module")
async def caller(played: TwoWorkerStage, account: Caller) -> Caller:
    """The account, with a new page in all ledgers."""
    for up in played.upstreams.values():
        up.script(Reply())
    await played.checker.start_recording()
    return account


def _longest(heard: Sequence[ClientResponse]) -> float:
    return max(one.seconds for one in heard)


def _in_time(heard: ClientResponse, silences: float) -> None:
    assert heard.seconds < silences + MARGIN, f"{heard.seconds:.2f} s"


@pytest.mark.parametrize(("wire", "case"), EARLY_BY_WIRE)
async def test_a_failure_before_the_first_token_falls_back(
    played: TwoWorkerStage, caller: Caller, wire: str, case: str, seen: RecordFault
) -> None:
    scene, stage = Scene(played, wire), played
    up = scene.script(EARLY[case])
    asked = {"model": scene.model(case)}
    heard = [await stream_turn(stage.first, caller, **asked)]
    heard.append(await create_completion(stage.second, caller, **asked))
    heard.append(await create_completion(stage.first, caller, **asked, stream=True))
    for one in heard:
        assert one.assert_one_ending() in ("done", "200") or one.status == 200, one.body
        _in_time(one, LIVE)
    assert (
        heard[0].text == heard[2].text == heard[1].json["choices"][0]["message"]["content"] == "Hello, world!"
    )
    assert heard[1].headers["x-fallback-model"] == "spare"
    assert all(call.sent < 100 for call in up.calls)  # nobody reads 100 MB of one line
    entries = await stage.checker.assert_consistent()
    assert [row["content"] for row in entries.answer_rows(status="complete")] == ["Hello, world!"]
    assert len(entries.successful_usage()) == 3
    seen(
        ROW,
        times=3,
        what="before the first token: another model answered",
        within=max(h.seconds for h in heard),
    )


@pytest.mark.parametrize("case", EARLY)
async def test_without_a_fallback_it_is_a_named_error_and_nothing_is_charged(
    played: TwoWorkerStage, caller: Caller, case: str, seen: RecordFault
) -> None:
    scene = Scene(played, "openai")
    scene.script(EARLY[case])
    asked = {"model": scene.model(f"{case} alone")}
    heard = await asyncio.gather(
        stream_turn(scene.stage.first, caller, **asked), create_completion(scene.stage.first, caller, **asked)
    )
    assert heard[0].assert_one_ending() == "error"  # its `turn` event was sent before the model call
    assert heard[1].assert_one_ending() in ("429", "502", "504"), heard[1].body
    for one in heard:
        assert one.error_code in ("upstream_failed", "upstream_timeout", "upstream_rate_limited")
        assert b"secret" not in one.body
        if wait := one.headers.get("retry-after"):
            assert 1 <= int(wait) <= 3600
        _in_time(one, LIVE)
    entries = await scene.stage.checker.assert_consistent()
    (kept,) = entries.answer_rows()
    assert (kept["status"], kept["content"]) == ("failed", "")
    assert entries.successful_usage() == []
    seen(ROW, times=2, what="no model left: 502 or 504, nothing charged", within=_longest(heard))


@pytest.mark.parametrize("wire", OPENAI_FIRST)
@pytest.mark.parametrize("case", LATE)
async def test_a_failure_after_the_first_token_is_an_error_event_and_keeps_the_text(
    played: TwoWorkerStage, caller: Caller, wire: str, case: str, seen: RecordFault
) -> None:
    scene = Scene(played, wire)
    scene.script(LATE[case])
    asked = {"model": scene.model(f"late {case}")}
    native, openai = await asyncio.gather(
        stream_turn(scene.stage.first, caller, **asked),
        create_completion(scene.stage.second, caller, **asked, stream=True),
    )
    said = "".join(SAID)
    for one in (native, openai):
        assert one.assert_one_ending() == "error"
        assert one.error_code in ("upstream_failed", "upstream_timeout")
        assert said.startswith(one.text)
        assert b"secret" not in one.body
        _in_time(one, FIRST_TOKEN)
    if case not in ("reset", "garbage", "half a character"):  # these may take with them what came together
        assert native.text == openai.text == "Hello, "
    assert b"[DONE]" not in openai.body
    entries = await scene.stage.checker.assert_consistent()
    (kept,) = entries.answer_rows()
    assert (kept["status"], kept["content"]) == ("failed", native.text)
    assert not scene.stage.upstreams["spare"].calls  # nobody else goes on with the sentence
    again = await send_request(
        scene.stage.second,
        caller.token_headers,
        {},
        f"/api/chat/stream/{native.turn_ids['message_id']}",
        "GET",
    )
    assert (again.assert_one_ending(), again.text) == ("error", native.text)
    seen(
        ROW,
        times=2,
        what="after the first token: `error`, the partial text is stored, no `[DONE]`",
        within=_longest((native, openai)),
    )


@pytest.mark.parametrize("wire", OPENAI_FIRST)
async def test_a_truncated_json_response_is_never_accepted(
    played: TwoWorkerStage, caller: Caller, wire: str, seen: RecordFault
) -> None:
    scene = Scene(played, wire)
    for case, step in LATE.items():
        scene.script(step)
        heard = await create_completion(scene.stage.first, caller, model=scene.model(f"late {case} alone"))
        assert heard.assert_one_ending() in ("502", "504"), (case, heard.body)
        _in_time(heard, LIVE)
    assert (await scene.stage.checker.assert_consistent()).successful_usage() == []
    seen(ROW, times=len(LATE), what="no model left: 502 or 504, nothing charged")
