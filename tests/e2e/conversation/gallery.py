"""Every kind of card on the page of the local Slack, as text and as a picture (in
test-results/cards: look at them).

What a reader reads must be what tests/blocks keeps as this card's text, with Slack's markup carried
out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from playwright.sync_api import Browser, Page
from slack_sdk import WebClient

from sandbox.slack import LocalSlack
from tests.blocks.golden import file_of
from tests.blocks.stories import messages
from tests.builders import T0
from tests.e2e.conftest import RESULTS

WIDTHS = {"desktop": 1280, "phone": 390}
PICTURES = RESULTS / "cards"
KINDS = sorted(name for name in messages() if name.startswith(("card", "loud", "quiet")))
_LATER = datetime.fromtimestamp(T0 / 1000 + 5 * 86_400, UTC)
_DATE = re.compile(r"<!date\^(\d+)\^([^|]+)\|[^>]*>")
_LINK = re.compile(r"<https?://[^|>]+\|([^>]+)>")
_BUTTON = re.compile(r"\[([^\]]*?)!{0,2}(?: \(asks\))?\](?:  |$)")
_TOKENS = {
    "{time}": "%-I:%M %p",
    "{time_secs}": "%-I:%M:%S %p",
    "{date_short_pretty}": "%b %-d, %Y",
}


def post_all(slack: LocalSlack) -> dict[str, str]:
    """Posts each kind of card into the channel; kind -> ts."""
    slack.reset()
    client = WebClient(token=slack.settings.bot_token, base_url=slack.api_url)
    posted = {}
    for name in KINDS:
        message = messages()[name]
        blocks = [dict(block) for block in message.blocks]
        posted[name] = str(
            client.chat_postMessage(channel="C0RELEASES", text=message.text, blocks=blocks)["ts"]
        )
    return posted


@contextmanager
def opened(
    browser: Browser, slack: LocalSlack, width: int, scheme: Literal["light", "dark"]
) -> Iterator[Page]:
    """As a reader in UTC sees it some days later."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        timezone_id="UTC",
        locale="en-US",
        bypass_csp=True,
    )
    context.clock.set_fixed_time(_LATER)
    page = context.new_page()
    page.goto(slack.url)
    page.wait_for_selector("article")
    page.set_viewport_size({"width": width, "height": 12_000})  # nothing is cut off in a picture
    yield page
    context.close()


def as_read(page: Page, ts: str) -> list[str]:
    """Line by line, without spaces, which a browser breaks and joins as it likes. A chart as a
    screen reader reads it."""
    body = page.locator(f'article[data-ts="{ts}"] .message-body')
    text = body.inner_text()
    for chart in body.locator("figure.chart").all():
        words = chart.get_by_role("img").get_attribute("aria-label")
        text = text.replace(chart.inner_text(), f"({words})")
    return [squeezed for line in text.splitlines() if (squeezed := _squeezed(line))]


def as_kept(slack: LocalSlack, name: str) -> list[str]:
    """The same of the text in tests/blocks/golden: below its empty line are the blocks."""
    _, _, drawn = file_of(name).read_text(encoding="utf-8").partition("\n\n")
    people = {person["id"]: person["real_name"] for person in slack.get("workspace")["people"]}
    lines: list[str] = []
    for line in drawn.splitlines():
        shown = _DATE.sub(lambda match: _moment(int(match[1]), match[2]), line)
        shown = re.sub(r"<@(\w+)>", lambda match: f"@{people[match[1]]}", shown)
        shown = _LINK.sub(r"\1", shown)
        shown = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        buttons = _BUTTON.findall(shown) if shown.startswith("[") else []
        cells = shown.split(" | ")
        lines += buttons or cells
    return [squeezed for line in lines if (squeezed := _squeezed(re.sub(r"[*`]", "", line)))]


def _moment(seconds: int, form: str) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return re.sub(r"\{\w+\}", lambda token: moment.strftime(_TOKENS[token[0]]), form)


def _squeezed(line: str) -> str:
    return re.sub(r"[\s\u2060\ufe0f]+", "", line)


def picture(page: Page, ts: str, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.locator(f'article[data-ts="{ts}"]').screenshot(path=PICTURES / f"{name}.png")
