"""What a person at the page can do, and what they see."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from slack_sdk import WebClient

from sandbox.slack import LocalSlack
from tests.e2e.slack_page.conftest import composer, say

pytestmark = pytest.mark.browser


def test_a_release_by_keyboard_alone(page: Page) -> None:
    page.keyboard.type("/d")
    expect(page.get_by_role("option", name="/deploy")).to_be_visible()
    page.keyboard.press("Tab")
    expect(composer(page)).to_have_value("/deploy ")
    expect(page.locator("#composer")).to_contain_text("APP VERSION")
    page.keyboard.type("hello 2.0.0")
    page.keyboard.press("Enter")
    expect(page.locator(".timeline").first.get_by_text("Only visible to you")).to_be_visible()
    abort = page.get_by_role("button", name="Abort")
    expect(abort).to_be_visible()
    for _ in range(30):
        if abort.evaluate("button => button === document.activeElement"):
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Abort hello-1?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(abort).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name=re.compile("hello-1 was aborted"))).to_be_focused()


def test_an_edit_keeps_focus_and_place_and_is_announced(page: Page, slack: LocalSlack) -> None:
    client = WebClient(token="xoxb-local", base_url=slack.api_url)
    for number in range(30):
        client.chat_postMessage(channel="C0RANDOM", text=f"line {number}")
    page.get_by_role("navigation").get_by_role("button", name="random").click()
    expect(page.get_by_text("line 29", exact=True)).to_be_visible()
    ts = slack.messages("C0RANDOM")[5]["ts"]
    page.locator(f'article[data-ts="{ts}"]').scroll_into_view_if_needed()
    timeline = page.locator(".timeline").first
    timeline.evaluate("box => { box.scrollTop = 200; }")
    composer(page).focus()
    page.keyboard.type("half a line")
    before = timeline.evaluate("box => box.scrollTop")
    client.chat_update(
        channel="C0RANDOM", ts=slack.messages("C0RANDOM")[-1]["ts"], text="the last line, edited"
    )
    client.chat_postMessage(channel="C0RANDOM", text="a new line")
    expect(page.locator('[aria-live="polite"]')).to_contain_text("a new line")
    expect(page.locator('[aria-live="polite"]')).to_contain_text("Updated: the last line, edited")
    assert timeline.evaluate("box => box.scrollTop") == before
    expect(composer(page)).to_be_focused()
    expect(composer(page)).to_have_value("half a line")


def test_a_pressed_button_keeps_the_focus_when_its_card_changes(page: Page) -> None:
    page.get_by_role("button", name="/deploy hello 2.0.0").click()
    pause = page.get_by_role("button", name="Pause")
    pause.press("Enter")
    expect(page.locator(".timeline").first.get_by_text("40 %")).to_be_visible()
    expect(pause).to_be_focused()


def test_a_modal_refuses_and_takes(page: Page, submitted: list[Any]) -> None:
    submitted.clear()
    say(page, "/deploy")
    dialog = page.get_by_role("dialog", name="Deploy")
    expect(dialog).to_be_visible()
    page.get_by_role("button", name="Start").click()
    expect(dialog.get_by_text("Please complete this required field.").first).to_be_visible()
    app = dialog.get_by_role("combobox", name="App")
    app.click()
    app.press_sequentially("hel")
    expect(dialog.get_by_role("option", name="hello")).to_be_visible()
    expect(dialog.get_by_role("option", name="auth")).to_have_count(0)
    app.press("Enter")
    version = dialog.locator('[data-block-id="version"] input')
    version.fill("9")
    dialog.get_by_label("Canary").check()
    version.press("Enter")
    expect(dialog.get_by_text("no such version")).to_be_visible()
    version.fill("2.0.0")
    page.get_by_role("button", name="Start").click()
    expect(dialog).to_be_hidden()
    (values,) = submitted
    assert values["app"]["app"]["selected_option"]["value"] == "hello"
    assert values["strategy"]["strategy"]["selected_option"]["value"] == "canary"
    assert values["version"]["version"]["value"] == "2.0.0"


def test_another_person_sees_the_card_but_not_the_private_answer(page: Page) -> None:
    page.get_by_role("button", name="/deploy hello 2.0.0").click()
    expect(page.get_by_text("Received: hello 2.0.0", exact=True)).to_be_visible()
    page.get_by_label("Acting as").select_option(label="Release manager")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator(".timeline").first.get_by_text("Received: hello 2.0.0")).to_have_count(0)
    page.get_by_label("Acting as").select_option(label="Partner of another team")
    expect(page.get_by_role("heading", name="#shared", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="releases")).to_have_count(0)


def test_a_mention_is_answered_in_its_thread(page: Page) -> None:
    page.keyboard.type("@Pilo")
    page.keyboard.press("Tab")
    page.keyboard.type("status")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="1 reply").click()
    expect(page.get_by_role("complementary", name="Thread")).to_contain_text("At your service")
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Thread")).to_have_count(0)


def test_a_permalink_opens_at_its_message(page: Page, slack: LocalSlack) -> None:
    client = WebClient(token="xoxb-local", base_url=slack.api_url)
    ts = client.chat_postMessage(channel="C0RANDOM", text="the one")["ts"]
    page.goto(client.chat_getPermalink(channel="C0RANDOM", message_ts=ts)["permalink"])
    expect(page.locator("article.message-highlight")).to_contain_text("the one")


def test_what_an_app_writes_is_text_and_never_markup(page: Page, slack: LocalSlack) -> None:
    client = WebClient(token="xoxb-local", base_url=slack.api_url)
    client.chat_postMessage(
        channel="C0RELEASES",
        text="&lt;img src=x onerror=alert(1)&gt; 안녕하세요 שלום <javascript:alert(1)|press>",
    )
    article = page.locator("article").last
    expect(article).to_contain_text("안녕하세요")
    assert article.locator("img").count() == 0
    assert article.locator('a[href^="javascript"]').count() == 0


def test_the_inspector_shows_calls_and_a_fault_can_be_added(page: Page, slack: LocalSlack) -> None:
    page.get_by_role("button", name="/deploy hello 2.0.0").click()
    page.get_by_role("button", name="Inspector").click()
    entry = page.locator("details.entry", has_text="chat.postMessage").first
    entry.locator("summary").click()
    expect(entry).to_contain_text("longest text object")
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".fault-list")).to_contain_text("429 rate limited")
    assert slack.get("faults")["faults"][0]["method"] == "chat.update"


def test_nothing_overflows_at_phone_width(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="/deploy hello 2.0.0").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    say(page, "/pods hello")
    expect(page.locator("table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator(".timeline").evaluate("box => box.scrollWidth - box.clientWidth") == 0
    page.get_by_role("button", name="Open channels").click()
    page.get_by_role("navigation").get_by_role("button", name="random").click()
    expect(page.get_by_role("heading", name="#random", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    page: Page, scheme: Any, has_no_violation: Callable[[Page, str], None]
) -> None:
    page.emulate_media(color_scheme=scheme)
    has_no_violation(page, "empty channel")
    page.get_by_role("button", name="/deploy hello 2.0.0").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    say(page, "@Pilothouse hello")
    page.get_by_role("button", name="1 reply").click()
    expect(page.get_by_text("At your service", exact=True)).to_be_visible()
    has_no_violation(page, "thread")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Inspector").click()
    has_no_violation(page, "inspector")
    say(page, "/deploy")
    expect(page.get_by_role("dialog", name="Deploy")).to_be_visible()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Please complete this required field.").first).to_be_visible()
    has_no_violation(page, "modal with errors")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Pilothouse home").click()
    expect(page.get_by_role("region", name="Home of Pilothouse")).to_contain_text("waits for you")
    has_no_violation(page, "home")
