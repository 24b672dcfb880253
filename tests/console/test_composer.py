"""Around the composer: shortcuts, files, drafts, idle answers, printing and scroll positions."""

from __future__ import annotations

from playwright.async_api import BrowserContext, Page, expect

from tests.console.browser import PageMonitor, send_message, start_session
from tests.console.test_chat import PIECES, Profile, answers, gated, text_of
from tests.support.gateway import PASSWORD, Account
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

# Dispatches a drop or paste event with a file.
_GIVE = """(kind) => {
  const data = new DataTransfer();
  data.items.add(new File(["x"], "screen.png", {type: "image/png"}));
  const options = {bubbles: true, cancelable: true};
  const event = kind === "paste"
    ? new ClipboardEvent("paste", {...options, clipboardData: data})
    : new DragEvent(kind, {...options, dataTransfer: data});
  document.querySelector("textarea").dispatchEvent(event);
  return event.defaultPrevented;
}"""


async def test_dropped_and_pasted_files_are_rejected_with_a_message(page: Page) -> None:
    said = page.get_by_text("Files and images cannot be attached.")
    assert await page.evaluate(_GIVE, "dragover")
    assert await page.evaluate(_GIVE, "drop")
    await expect(said).to_be_visible()
    await page.get_by_role("button", name="Dismiss").click()
    await page.evaluate(_GIVE, "paste")
    await expect(said).to_be_visible()
    await expect(page.get_by_label("Message", exact=True)).to_have_value("")


async def test_a_draft_survives_a_reload_and_is_deleted_with_the_session(page: Page) -> None:
    field = page.get_by_label("Message", exact=True)
    await field.fill("Half a question")
    await page.reload()
    await expect(field).to_have_value("Half a question")
    await page.get_by_role("button", name="@example.org").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_text("You have been signed out.")).to_be_visible()
    assert await page.evaluate("Object.keys(sessionStorage).filter(name => name.includes('draft'))") == []


async def test_keyboard_shortcuts(page: Page, upstream: OpenAIUpstream) -> None:
    reply, gate = gated(at=5)
    upstream.script(reply)
    field = page.get_by_label("Message", exact=True)
    await send_message(page, "Tell me words.")
    await expect(text_of(answers(page))).to_have_text("".join(PIECES[:5]).strip())
    await page.keyboard.press("Escape")
    await expect(answers(page)).to_contain_text("Stopped. The text so far has been saved.")
    gate.set()
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await page.keyboard.type("?/")
    await expect(page.get_by_role("searchbox")).to_have_value("?/")
    await page.get_by_role("searchbox").fill("")
    await field.focus()
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_role("textbox", name="Edit question")).to_be_focused()
    await page.keyboard.press("Escape")
    await page.get_by_role("heading", name="Tell me words.").click()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Ctrl + K")
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await expect(field).to_be_focused()
    await page.keyboard.press("Control+Shift+O")
    await expect(page.get_by_role("heading", name="How can I help you?")).to_be_visible()


async def test_an_idle_answer_shows_that_it_is_still_connected(
    new_profile: Profile, account: Account, upstream: OpenAIUpstream
) -> None:
    page = await new_profile[0].new_page()
    await start_session(page, account.email, PASSWORD)
    reply, gate = gated(at=5)
    upstream.script(reply)
    await page.clock.install()
    await send_message(page, "Tell me words.")
    await expect(answers(page)).to_contain_text("Writing…")
    await page.clock.fast_forward(12_000)
    await expect(answers(page)).to_contain_text("no data received for 1")
    gate.set()
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_visible()
    await expect(answers(page)).not_to_contain_text("Writing…")


async def test_the_answer_details_are_translated_to_korean(page: Page, upstream: OpenAIUpstream) -> None:
    upstream.script(Reply(text=["네."]))
    await page.get_by_role("button", name="@example.org").click()
    await page.get_by_role("menuitemradio", name="한국어").click()
    await page.keyboard.press("Escape")
    await page.get_by_label("메시지", exact=True).fill("What is 6 times 7?")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="답변 상세 정보").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("복잡도")
    await expect(dialog.get_by_role("table", name="모델 호출")).to_contain_text("성공")
    shown = await dialog.inner_text()
    for english in ("looks easy", "looks hard", "below the threshold", "ok\n", "question\n"):
        assert english not in shown


async def test_a_failed_answer_shows_its_error_and_request_id_after_a_reload(
    profile: tuple[BrowserContext, PageMonitor], page: Page, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=PIECES, fault="reset", after=5))
    await send_message(page, "Break.")
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The model provider returned an error.")
    said = (await alert.get_by_text("Request req_").inner_text()).removeprefix("Request ")
    await page.reload()
    await expect(alert).to_contain_text(said)
    await expect(alert.get_by_role("button", name="Copy request ID")).to_be_visible()


async def test_printing_shows_the_whole_conversation_without_controls(
    page: Page, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=[f"Line {number}\n\n" for number in range(120)]))
    await send_message(page, "Many lines.")
    await expect(page.get_by_text("Line 119", exact=True)).to_be_visible()
    await page.emulate_media(media="print")
    await expect(page.get_by_label("Message", exact=True)).to_be_hidden()
    await expect(page.get_by_role("navigation", name="Conversations")).to_be_hidden()
    first, last, height = await page.evaluate(
        """() => [...["Line 0", "Line 119"].map((text) =>
             [...document.querySelectorAll(".markdown p")].find((p) => p.textContent === text)
               .getBoundingClientRect().bottom + scrollY), document.documentElement.scrollHeight]"""
    )
    assert 0 < first < last <= height


async def test_the_scroll_position_of_a_conversation_is_restored(
    page: Page, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=[f"Line {number}\n\n" for number in range(120)]))
    await send_message(page, "Many lines.")
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_attached()
    await page.get_by_text("Line 30", exact=True).scroll_into_view_if_needed()
    await expect(page.get_by_text("Line 30", exact=True)).to_be_in_viewport()
    await page.get_by_role("button", name="New chat").click()
    await expect(page.get_by_role("heading", name="How can I help you?")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_text("Line 30", exact=True)).to_be_in_viewport()
