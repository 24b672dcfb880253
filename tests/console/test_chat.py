"""The chat: streaming, stopping, resuming, branches, tools, settings, search and the keyboard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from tests.console.browser import PageMonitor, monitored_context, send_message, start_session
from tests.support.gateway import PASSWORD, Account, Gateway
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply, ScriptedToolCall

Profile = tuple[BrowserContext, PageMonitor]
# Multi-byte words with numbers, so that lost or repeated chunks are visible.
PIECES = [f"낱말{number} " for number in range(40)]
WHOLE = "".join(PIECES).strip()


def answers(page: Page) -> Locator:
    return page.get_by_role("article", name="Answer")


def text_of(answer: Locator) -> Locator:
    return answer.locator(".markdown")


def gated(at: int) -> tuple[Reply, asyncio.Event]:
    """An answer that pauses after `at` chunks until the event is set."""
    gate = asyncio.Event()
    return Reply(text=PIECES, gate=gate, gate_at=at), gate


async def stored(gateway: Gateway, account: Account) -> list[str]:
    """The messages' contents of the current branch of the newest conversation."""
    listed = await gateway.http.get("/api/conversations", headers=account.headers)
    path = f"/api/conversations/{listed.json()['items'][0]['id']}"
    read = await gateway.http.get(path, headers=account.headers)
    return [message["content"] for message in read.json()["messages"]]


async def test_an_answer_streams_and_has_details(page: Page, upstream: OpenAIUpstream) -> None:
    reply, gate = gated(at=10)
    upstream.script(reply)
    await send_message(page, "Tell me words.")
    await expect(text_of(answers(page))).to_have_text("".join(PIECES[:10]).strip())
    await expect(answers(page)).to_have_attribute("aria-busy", "true")
    await expect(page.get_by_role("status").filter(has_text="The answer has started.")).to_have_count(1)
    gate.set()
    await expect(text_of(answers(page))).to_have_text(WHOLE)
    # Only the model is shown below the answer; everything else is in the details.
    await expect(answers(page).get_by_text("scripted", exact=True)).to_be_visible()
    await expect(answers(page)).not_to_contain_text("tokens")
    await expect(page.get_by_role("status").filter(has_text="complete: 40 words")).to_have_count(1)
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await page.get_by_role("button", name="Answer details").click()
    receipt = page.get_by_role("dialog")
    await expect(receipt.get_by_role("table", name="Model calls")).to_contain_text("11 + 4")
    await receipt.get_by_text("Raw data (JSON)").click()
    await expect(receipt).to_contain_text('"overhead_ms"')
    await page.keyboard.press("Escape")
    await expect(receipt).to_have_count(0)


async def test_a_stopped_answer_keeps_its_text(
    page: Page, upstream: OpenAIUpstream, gateway: Gateway, account: Account
) -> None:
    reply, gate = gated(at=7)
    upstream.script(reply, Reply())
    await send_message(page, "Go on and on.")
    await expect(text_of(answers(page))).to_have_text("".join(PIECES[:7]).strip())
    await page.get_by_role("button", name="Stop").click()
    await expect(answers(page)).to_contain_text("Stopped. The text so far has been saved.")
    gate.set()
    await expect(text_of(answers(page))).to_have_text("".join(PIECES[:7]).strip())
    assert (await stored(gateway, account))[1] == "".join(PIECES[:7])
    await send_message(page, "And now?")
    await expect(text_of(answers(page).nth(1))).to_have_text("Hello, world!")


async def test_a_reload_while_streaming_resumes_without_loss_or_repetition(
    profile: Profile, page: Page, upstream: OpenAIUpstream, gateway: Gateway, account: Account
) -> None:
    reply, gate = gated(at=15)
    upstream.script(reply)
    await send_message(page, "Tell me words.")
    await expect(text_of(answers(page))).to_have_text("".join(PIECES[:15]).strip())
    await page.reload()
    await expect(text_of(answers(page))).to_have_text("".join(PIECES[:15]).strip())
    await expect(page.get_by_role("article", name="You")).to_have_count(1)
    gate.set()
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_visible()
    await expect(text_of(answers(page))).to_have_text(WHOLE)
    assert (await stored(gateway, account))[1].strip() == WHOLE


@pytest_asyncio.fixture(loop_scope="session")
async def proxied(
    browser: Browser, gateway: Gateway, account: Account
) -> AsyncIterator[tuple[Page, PageMonitor, TcpProxy]]:
    """A tab whose connection to the gateway can be cut."""
    async with tcp_proxy(gateway.url) as proxy, monitored_context(browser, proxy.url) as (context, monitor):
        page = await context.new_page()
        await start_session(page, account.email, PASSWORD)
        yield page, monitor, proxy


async def test_a_cut_connection_resumes_after_the_last_event(
    proxied: tuple[Page, PageMonitor, TcpProxy], upstream: OpenAIUpstream, gateway: Gateway, account: Account
) -> None:
    page, monitor, proxy = proxied
    reply, gate = gated(at=15)
    upstream.script(reply)
    await send_message(page, "Tell me words.")
    await expect(text_of(answers(page))).to_have_text("".join(PIECES[:15]).strip())
    for _ in range(2):
        async with page.expect_request(lambda one: "/api/chat/stream/" in one.url) as resumed:
            proxy.reset()
        again = await resumed.value
        # The turn, the route and at least one delta.
        assert int(again.headers["last-event-id"]) > 2
        # A cut before its answer has begun may miss it, or have it repeated unseen.
        assert await again.response() is not None
    gate.set()
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_visible()
    await expect(text_of(answers(page))).to_have_text(WHOLE)
    assert monitor.count("POST", "/api/chat/stream") == 1
    assert (await stored(gateway, account))[1].strip() == WHOLE


async def test_a_rejected_question_is_put_back_into_the_composer(
    proxied: tuple[Page, PageMonitor, TcpProxy],
) -> None:
    page, _, proxy = proxied
    await proxy.stop()
    await send_message(page, "Is anybody there?")
    await expect(page.get_by_role("main").get_by_role("alert")).to_contain_text("is unreachable")
    await expect(page.get_by_label("Message", exact=True)).to_have_value("Is anybody there?")
    await proxy.start()


async def test_siblings_of_answers_and_questions_can_be_navigated(
    page: Page, upstream: OpenAIUpstream
) -> None:
    upstream.script(*(Reply(text=[text]) for text in ("first", "again", "follow", "edited")))
    await send_message(page, "One?")
    await expect(text_of(answers(page))).to_have_text(["first"])
    await page.get_by_role("button", name="Regenerate answer").click()
    await expect(text_of(answers(page))).to_have_text(["again"])
    await expect(page.get_by_text("Version 2 of 2")).to_be_attached()
    await send_message(page, "More?")
    await expect(text_of(answers(page))).to_have_text(["again", "follow"])

    await answers(page).first.get_by_role("button", name="Previous version").click()
    await expect(text_of(answers(page))).to_have_text(["first"])
    await page.get_by_role("button", name="Next version").click()
    await expect(text_of(answers(page))).to_have_text(["again", "follow"])

    await page.get_by_role("button", name="Edit question").first.click()
    editor = page.get_by_role("textbox", name="Edit question")
    await expect(editor).to_be_focused()
    await editor.fill("Uno?")
    await editor.press("Enter")
    await expect(text_of(answers(page))).to_have_text(["edited"])
    question = page.get_by_role("article", name="You")
    await expect(question).to_contain_text("Uno?")
    await question.get_by_role("button", name="Previous version").click()
    await expect(text_of(answers(page))).to_have_text(["again", "follow"])
    await page.reload()
    await expect(text_of(answers(page).first)).to_have_text("again")


async def test_enter_during_ime_composition_does_not_send(page: Page, upstream: OpenAIUpstream) -> None:
    upstream.script(Reply(text=["네."]))
    field = page.get_by_label("Message", exact=True)
    await field.focus()
    keyboard = await page.context.new_cdp_session(page)

    async def compose(text: str) -> None:
        await keyboard.send(
            "Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
        )

    async def key(kind: str, **fields: object) -> None:
        await keyboard.send(
            "Input.dispatchKeyEvent", {"type": kind, "key": "Enter", "code": "Enter", **fields}
        )

    await keyboard.send("Input.insertText", {"text": "안녕하세"})
    for piece in ("ㅇ", "요"):
        await compose(piece)
    # The input method consumes this Enter: key code 229 and no character.
    await key("rawKeyDown", windowsVirtualKeyCode=229)
    await key("keyUp", windowsVirtualKeyCode=13)
    await keyboard.send("Input.insertText", {"text": "요"})
    await expect(field).to_have_value("안녕하세요")
    assert await page.get_by_role("article").count() == 0
    await page.keyboard.press("Shift+Enter")
    # This Enter ends the composition and also inserts a line break, as Korean input methods do: it sends.
    for piece in ("ㅂ", "바", "반"):
        await compose(piece)
    await key("rawKeyDown", windowsVirtualKeyCode=229)
    await key("char", text="\r", windowsVirtualKeyCode=13)
    await key("keyUp", windowsVirtualKeyCode=13)
    await expect(text_of(answers(page))).to_have_text("네.")
    assert upstream.calls[-1].body["messages"][-1]["content"] == "안녕하세요\n반"
    await expect(field).to_have_value("")


async def test_tool_calls_show_arguments_and_results_while_streaming(
    page: Page, upstream: OpenAIUpstream
) -> None:
    reply, gate = gated(at=1)
    upstream.script(
        Reply(text=(), tools=[ScriptedToolCall("calculator", ('{"expression":', '"6*7"}'))]), reply
    )
    await send_message(page, "What is 6 times 7?")
    step = answers(page).locator("summary", has_text="Calculator")
    await step.click()
    await expect(answers(page)).to_contain_text('"expression": "6*7"')
    await expect(answers(page)).to_contain_text("Result42")
    gate.set()
    await expect(text_of(answers(page))).to_have_text(WHOLE)
    await expect(step).to_be_visible()


async def test_reasoning_and_tool_results_are_shown_after_a_reload(
    page: Page, upstream: OpenAIUpstream
) -> None:
    upstream.script(
        Reply(
            text=(),
            reasoning=("Six times ", "seven."),
            tools=[ScriptedToolCall("calculator", ('{"expression":"6*7"}',))],
        ),
        Reply(text=("It is 42.",)),
    )
    await send_message(page, "What is 6 * 7?")
    await expect(text_of(answers(page))).to_have_text("It is 42.")
    await page.reload()
    await expect(text_of(answers(page))).to_have_text("It is 42.")
    await answers(page).get_by_text("Reasoning", exact=True).click()
    await expect(answers(page).get_by_text("Six times seven.")).to_be_visible()
    await answers(page).locator("details").filter(has_text="Calculator").locator("summary").click()
    await expect(answers(page).get_by_text('"expression": "6*7"')).to_be_visible()
    await expect(answers(page).locator("pre").filter(has_text="42")).to_be_visible()


async def test_disabled_tools_are_not_offered_to_the_model(page: Page, upstream: OpenAIUpstream) -> None:
    upstream.script(Reply())
    await page.get_by_role("button", name="All tools").click()
    await page.get_by_role("checkbox", name="Calculator").uncheck()
    await page.keyboard.press("Escape")
    await send_message(page, "What is 6 times 7?")
    await expect(text_of(answers(page))).to_have_text("Hello, world!")
    offered = [tool["function"]["name"] for tool in upstream.calls[-1].body.get("tools", [])]
    assert offered == ["current_time"]
    await page.reload()
    await expect(page.get_by_role("button", name="1 tool")).to_be_visible()


async def test_instructions_and_model_are_stored_per_conversation(
    page: Page, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply())
    await page.get_by_role("combobox", name="Model").click()
    await page.keyboard.type("script")
    await expect(page.get_by_role("option", name="scripted")).to_contain_text(
        "$1.00 prompt, $2.00 completion"
    )
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("combobox", name="Model: scripted")).to_be_visible()
    await page.get_by_role("button", name="Instructions").click()
    await page.get_by_role("dialog").get_by_label("Instructions").fill("Answer in rhyme.")
    await page.get_by_role("button", name="Save").click()
    await send_message(page, "Hello")
    await expect(text_of(answers(page))).to_have_text("Hello, world!")
    assert upstream.calls[-1].body["messages"][0]["content"].startswith("Answer in rhyme.")
    await page.reload()
    await expect(page.get_by_role("button", name="Instructions set")).to_be_visible()
    await page.get_by_role("link", name="LLM Gateway").click()
    await expect(page.get_by_role("button", name="Instructions", exact=True)).to_be_visible()


async def test_a_failed_answer_keeps_its_text(page: Page, upstream: OpenAIUpstream) -> None:
    upstream.script(Reply(text=PIECES, fault="reset", after=5))
    await send_message(page, "Break.")
    await expect(page.get_by_role("alert")).to_contain_text("The answer failed.")
    await expect(text_of(answers(page))).to_have_text("".join(PIECES[:5]).strip())
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("The answer failed.")
    await expect(text_of(answers(page))).to_have_text("".join(PIECES[:5]).strip())


async def test_scrolling_up_stops_auto_scroll_until_the_end_is_reached(
    page: Page, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    lines = [f"Line {number}\n\n" for number in range(120)]
    upstream.script(Reply(text=lines, gate=gate, gate_at=60))
    await send_message(page, "Many lines.")
    await expect(page.get_by_text("Line 59", exact=True)).to_be_in_viewport()
    await text_of(answers(page)).hover()
    await page.mouse.wheel(0, -300)
    jump = page.get_by_role("button", name="Scroll to the end")
    await expect(jump).to_be_visible()
    gate.set()
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_attached()
    await expect(page.get_by_text("Line 119", exact=True)).not_to_be_in_viewport()
    await jump.click()
    await expect(page.get_by_text("Line 119", exact=True)).to_be_in_viewport()
    await expect(jump).to_have_count(0)


async def test_conversations_can_be_searched_renamed_and_deleted(
    page: Page, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=["A heron."]), Reply(text=["A whale."]))
    await send_message(page, "Which bird?")
    await expect(text_of(answers(page))).to_have_text("A heron.")
    await page.get_by_role("button", name="New chat").click()
    await send_message(page, "Which fish?")
    await expect(text_of(answers(page))).to_have_text("A whale.")
    side = page.get_by_role("navigation", name="Conversations")
    await expect(side.get_by_role("listitem")).to_have_count(2)
    await page.get_by_role("searchbox").fill("HERON")
    await expect(side.get_by_role("listitem")).to_have_count(1)
    await side.get_by_role("listitem").hover()
    await side.get_by_role("button", name="Actions for Which bird?").click()
    await page.get_by_role("menuitem", name="Rename").click()
    await page.get_by_label("Title").fill("Birds")
    await page.keyboard.press("Enter")
    await side.get_by_role("link", name="Birds").click()
    await expect(page.get_by_role("heading", name="Birds")).to_be_visible()
    await side.get_by_role("button", name="Actions for Birds").click()
    await page.get_by_role("menuitem", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("heading", name="How can I help you?")).to_be_visible()
    await expect(side).to_contain_text("No conversations found.")
    await page.get_by_role("searchbox").fill("")
    await expect(side.get_by_role("listitem")).to_have_count(1)


async def test_a_search_result_opens_the_conversation_at_the_match(
    page: Page, upstream: OpenAIUpstream, gateway: Gateway, account: Account
) -> None:
    lines = [f"Line {number} of the herbarium.\n\n" for number in range(80)]
    upstream.script(Reply(text=[*lines[:10], "A rare bellflower grows here.\n\n", *lines[10:]]), Reply())
    await send_message(page, "Which plants are there?")
    await expect(page.get_by_text("Line 79 of the herbarium.")).to_be_in_viewport()
    await page.get_by_role("button", name="New chat").click()
    await page.get_by_role("searchbox").fill("BELLFLOWER grows")
    side = page.get_by_role("navigation", name="Conversations")
    found = side.get_by_role("link", name="A rare bellflower grows here.")
    await expect(found.locator("mark")).to_have_text("bellflower grows")
    await found.click()
    place = page.get_by_text("A rare bellflower grows here.", exact=True)
    await expect(place).to_be_in_viewport()
    assert await page.evaluate("[...CSS.highlights.get('hit')][0].toString()") == "bellflower grows"
    await expect(page.get_by_text("Line 79 of the herbarium.")).not_to_be_in_viewport()
    # The hit is scrolled to once: later scrolling is not undone.
    await page.get_by_role("button", name="Scroll to the end").click()
    await expect(page.get_by_text("Line 79 of the herbarium.")).to_be_in_viewport()
    await found.click()
    await expect(place).to_be_in_viewport()


async def test_a_search_result_in_another_branch_switches_to_it(page: Page, upstream: OpenAIUpstream) -> None:
    upstream.script(Reply(text=["A cormorant."]), Reply(text=["A swan."]))
    await send_message(page, "Which bird?")
    await expect(text_of(answers(page))).to_have_text("A cormorant.")
    await page.get_by_role("button", name="Regenerate answer").click()
    await expect(text_of(answers(page))).to_have_text("A swan.")
    await page.get_by_role("searchbox").fill("cormorant")
    side = page.get_by_role("navigation", name="Conversations")
    await side.get_by_role("link", name="A cormorant.").click()
    await expect(text_of(answers(page))).to_have_text("A cormorant.")
    await page.get_by_role("button", name="Next version").click()
    await expect(text_of(answers(page))).to_have_text("A swan.")


async def test_the_chat_is_usable_by_keyboard_only(
    blank_page: Page, account: Account, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=["one"]), Reply(text=["two"]))
    page = blank_page
    await page.goto("/")
    keys = page.keyboard
    await page.get_by_label("Email address").wait_for()

    async def tab_to(target: Locator) -> None:
        for _ in range(40):
            await keys.press("Tab")
            if await target.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"not reached by Tab: {target}")

    await tab_to(page.get_by_label("Email address"))
    await keys.type(account.email)
    await tab_to(page.get_by_label("Password"))
    await keys.type(PASSWORD)
    await keys.press("Enter")
    field = page.get_by_label("Message", exact=True)
    await expect(field).to_be_focused()
    await keys.type("Say one.")
    await keys.press("Enter")
    await expect(text_of(answers(page))).to_have_text("one")
    await expect(field).to_be_focused()
    await tab_to(page.get_by_role("combobox", name="Model"))
    await keys.press("Enter")
    await keys.type("mock")
    await keys.press("Enter")
    await expect(page.get_by_role("combobox", name="Model: mock")).to_be_focused()
    await tab_to(page.get_by_role("button", name="Edit question"))
    await keys.press("Enter")
    await keys.type(" Or two?")
    await keys.press("Escape")
    await tab_to(page.get_by_role("button", name=account.email))
    await keys.press("Enter")
    await keys.press("End")
    await keys.press("Enter")
    await expect(page.get_by_text("You have been signed out.")).to_be_visible()
