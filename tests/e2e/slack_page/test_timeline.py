"""Which messages the page shows as they arrive, and how fast it changes to another person."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect
from slack_sdk import WebClient

from sandbox.slack import LocalSlack
from tests.e2e.slack_page.conftest import card, say

pytestmark = pytest.mark.browser

RELEASES = "C0RELEASES"
SWITCH_WITHIN_MS = 500.0
SWITCH = """
async ([id, name, count]) => {
  const select = document.querySelector(".acting select");
  const began = performance.now();
  select.value = id;
  select.dispatchEvent(new Event("change", {bubbles: true}));
  const isThere = () => document.querySelector(".acting-chip").textContent === name
    && document.querySelectorAll("article.message").length === count;
  while (!isThere()) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}
"""


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    return WebClient(token="xoxb-local", base_url=slack.api_url)


@pytest.fixture
def timeline(page: Page, client: WebClient) -> Locator:
    """The messages of #releases, of which most are out of view."""
    for number in range(30):
        client.chat_postMessage(channel=RELEASES, text=f"card {number}", blocks=card(number))
    expect(page.locator("article.message")).to_have_count(30)
    return page.locator(".timeline").first


def hidden_below(timeline: Locator) -> float:
    """How many pixels of the newest messages are out of view."""
    return float(
        timeline.evaluate("box => Math.round(box.scrollHeight - box.scrollTop - box.clientHeight)")
    )


def pill(page: Page) -> Locator:
    return page.get_by_role("button", name="new message")


def scroll_up(page: Page, timeline: Locator) -> None:
    timeline.hover()
    page.mouse.wheel(0, -1500)
    page.wait_for_function(
        "box => box.scrollHeight - box.scrollTop - box.clientHeight > 500",
        arg=timeline.element_handle(),
    )


def test_many_messages_at_once_keep_the_newest_in_view(
    page: Page, timeline: Locator, client: WebClient
) -> None:
    for burst in range(5):
        for number in range(6):
            client.chat_postMessage(channel=RELEASES, text="more", blocks=card(number))
        expect(page.locator("article.message")).to_have_count(30 + 6 * (burst + 1))
        assert hidden_below(timeline) == 0
    expect(pill(page)).to_have_count(0)


def test_growth_before_the_scroll_event_is_not_taken_for_scrolling(
    page: Page, timeline: Locator
) -> None:
    """The event of the page's own scrolling comes a frame later; a card may have grown by then."""
    grow = """box => {
      const last = [...box.querySelectorAll("article.message")].at(-1);
      last.style.minHeight = "600px";
      box.dispatchEvent(new Event("scroll"));
      return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    }"""
    timeline.evaluate(grow)
    assert hidden_below(timeline) == 0


def test_a_pill_leads_to_new_messages_after_scrolling_up(
    page: Page, timeline: Locator, client: WebClient
) -> None:
    scroll_up(page, timeline)
    place = timeline.evaluate("box => box.scrollTop")
    client.chat_postMessage(channel=RELEASES, text="first")
    expect(pill(page)).to_have_text("1 new message ↓")
    client.chat_postMessage(channel=RELEASES, text="second")
    expect(pill(page)).to_have_text("2 new messages ↓")
    assert timeline.evaluate("box => box.scrollTop") == place
    pill(page).click()
    expect(pill(page)).to_have_count(0)
    expect(page.get_by_text("second", exact=True)).to_be_in_viewport()
    client.chat_postMessage(channel=RELEASES, text="third")
    expect(page.get_by_text("third", exact=True)).to_be_in_viewport()


def test_scrolling_to_the_newest_removes_the_pill(
    page: Page, timeline: Locator, client: WebClient
) -> None:
    scroll_up(page, timeline)
    client.chat_postMessage(channel=RELEASES, text="unread")
    expect(pill(page)).to_be_visible()
    timeline.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    expect(pill(page)).to_have_count(0)


def test_ones_own_command_shows_the_newest_message(page: Page, timeline: Locator) -> None:
    scroll_up(page, timeline)
    say(page, "/deploy hello 2.0.0")
    expect(timeline.get_by_text("Received: hello 2.0.0")).to_be_in_viewport()
    expect(page.locator("article.message").last).to_be_in_viewport()
    assert hidden_below(timeline) == 0
    expect(pill(page)).to_have_count(0)


def test_a_switch_of_the_person_is_quick_and_loads_once(page: Page, timeline: Locator) -> None:
    loads: list[str] = []
    page.on("request", lambda sent: loads.append(sent.url) if "/messages?" in sent.url else None)
    took = []
    for person in [("U0MANAGER", "Release manager"), ("U0DEV1", "Developer")] * 2:
        with page.expect_response(lambda answer: "/messages?" in answer.url):
            took.append(page.evaluate(SWITCH, [*person, 30]))
    assert min(took) < SWITCH_WITHIN_MS, took
    page.evaluate("new Promise(done => setTimeout(done, 100))")  # a second load would begin at once
    assert len(loads) == len(took)
    assert hidden_below(timeline) == 0


def test_listens_here_shows_only_where_the_app_hears_messages(
    page: Page, slack: LocalSlack
) -> None:
    places = page.get_by_role("navigation")
    welcome = page.locator(".welcome")
    expect(welcome).to_contain_text("Pilothouse listens here.")
    places.get_by_role("button", name="Messages").click()  # its manifest has no message.im
    expect(welcome).to_contain_text("takes commands here but does not read messages")
    slack.post("channel", channel="C0RANDOM", bot_is_member=False)
    places.get_by_role("button", name="random").click()
    expect(welcome).to_contain_text("is not a member of this channel")
    slack.post("channel", channel=RELEASES, archived=True)
    places.get_by_role("button", name="releases").click()
    expect(welcome).to_contain_text("This channel is archived.")
    expect(page.get_by_text("listens here")).to_have_count(0)
