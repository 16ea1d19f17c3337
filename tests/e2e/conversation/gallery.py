"""Every kind of card on the page of the local Slack, as text and as a picture. ``python -m tests.e2e.conversation.gallery`` writes the
texts anew: look at the difference, and at the pictures in test-results/cards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright
from slack_sdk import WebClient

from sandbox.slack import LocalSlack
from tests.blocks.golden import file_of
from tests.blocks.stories import messages
from tests.e2e.conftest import ARGUMENTS, CHROMIUM, RESULTS

FOLDER = Path(__file__).parent / "golden"
WIDTHS = {"desktop": 1280, "phone": 390}
PICTURES = RESULTS / "cards"
KINDS = sorted(name for name in messages() if name.startswith(("card", "loud", "quiet")))


def golden(name: str) -> Path:
    return FOLDER / file_of(name).name


def post_all(slack: LocalSlack) -> dict[str, str]:
    """Posts each kind of card into the channel; kind -> ts."""
    slack.reset()
    client = WebClient(token=slack.settings.bot_token, base_url=slack.api_url)
    posted = {}
    for name in KINDS:
        message = messages()[name]
        blocks = [dict(block) for block in message.blocks]
        posted[name] = str(client.chat_postMessage(channel="C0RELEASES", text=message.text, blocks=blocks)["ts"])
    return posted


@contextmanager
def opened(browser: Browser, slack: LocalSlack, width: int, scheme: Literal["light", "dark"]) -> Iterator[Page]:
    """Dates as a reader in UTC sees them."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, timezone_id="UTC", locale="en-US", bypass_csp=True
    )
    page = context.new_page()
    page.goto(slack.url)
    page.wait_for_selector("article")
    page.set_viewport_size({"width": width, "height": 12_000})  # nothing is cut off in a picture
    yield page
    context.close()


def as_read(page: Page, ts: str) -> str:
    text: str = page.locator(f'article[data-ts="{ts}"] .message-body').inner_text()
    return "\n".join(line.strip() for line in text.replace("\u2060", "").splitlines() if line.strip()) + "\n"


def picture(page: Page, ts: str, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.locator(f'article[data-ts="{ts}"]').screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for left_over in FOLDER.glob("*.txt"):
        left_over.unlink()
    with LocalSlack(rate_scale=0) as local, sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--headless"])
        posts = post_all(local)
        with opened(chromium, local, WIDTHS["desktop"], "light") as shown:
            for kind, posted_at in posts.items():
                golden(kind).write_text(as_read(shown, posted_at), encoding="utf-8")
        chromium.close()
