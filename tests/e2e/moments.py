"""`python -m tests.e2e.moments [FOLDER]`: the moments that matter, as a browser draws them on
desktop and phone, light and dark, and the live tree as a terminal of 80 columns draws it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.text import Text

from sandbox.main import DEMO, Sandbox, run_sandbox
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.pictures import CHANNEL, DEVELOPER, IMAGES, SIZES, newest

MANAGER = "U0MANAGER"
SCHEMES = ("light", "dark")
HOME_HEIGHT = 900
TREE_COLUMNS = 80
DRAW = "import sys; from bot.terminal_tree import main; sys.exit(main(sys.argv[1:]))"


def make_demo(to: Path) -> None:
    """The sandbox's demo, with a rollback window of 30 s for frontend."""
    shutil.copytree(DEMO, to)
    catalog = yaml.safe_load((to / "catalog.yaml").read_text(encoding="utf-8"))
    catalog["apps"]["frontend"]["bluegreen"] = {"rollback_window": "30s"}
    (to / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")


def wait(sandbox: Sandbox, words: str) -> str:
    return str(sandbox.slack.wait_for(lambda: newest(sandbox, words), seconds=60, what=words))


def approve(sandbox: Sandbox, ts: str) -> None:
    (message,) = (m for m in sandbox.slack.messages(CHANNEL, MANAGER) if m["ts"] == ts)
    block = next(b for b in message["blocks"] if b["type"] == "actions")
    button = block["elements"][0]
    more = {"value": button["value"], "block_id": block["block_id"]}
    sandbox.slack.click(MANAGER, CHANNEL, ts, button["action_id"], **more)


class Camera:
    def __init__(self, browser: Browser, sandbox: Sandbox, to: Path) -> None:
        self._browser, self._sandbox, self._to = browser, sandbox, to

    def message(self, name: str, ts: str) -> None:
        for size, scheme, page in self._pages():
            shown = page.locator(f'article[data-ts="{ts}"]').first
            shown.scroll_into_view_if_needed()
            shown.screenshot(path=self._to / f"{name}-{size}-{scheme}.png")

    def home(self) -> None:
        """Light ones are among the other pictures."""
        for size, scheme, page in self._pages(HOME_HEIGHT):
            if scheme == "light":
                continue
            if size == "phone":
                page.get_by_role("button", name="Open channels").click()
            page.get_by_role("button", name="Pilothouse home").click()
            page.get_by_role("button", name="Promote").wait_for()
            page.screenshot(path=self._to / f"home-{size}-{scheme}.png")

    def tree(self, release: str) -> None:
        """What `pilothouse release ID --watch` draws, once."""
        command = [sys.executable, "-c", DRAW, release]
        more = {
            "REDIS_URL": self._sandbox.redis.url,
            "COLUMNS": str(TREE_COLUMNS),
            "FORCE_COLOR": "1",
        }
        drawn = subprocess.run(
            command, env={**os.environ, **more}, capture_output=True, text=True, check=True
        ).stdout
        console = Console(record=True, width=TREE_COLUMNS, file=io.StringIO())
        console.print(Text.from_ansi(drawn))
        page = self._browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_content(console.export_svg(title=f"pilothouse release {release} --watch"))
        page.locator("svg").screenshot(path=self._to / "live-tree.png")
        page.close()

    def _pages(self, height: int | None = None) -> Any:
        for size, (width, usual, _) in SIZES.items():
            for scheme in SCHEMES:
                page = self._open(width, height or usual, scheme)
                yield size, scheme, page
                page.close()

    def _open(self, width: int, height: int, scheme: Any) -> Page:
        page = self._browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True
        )
        page.add_init_script(f"localStorage.setItem('me', '{MANAGER}')")
        page.goto(self._sandbox.url)
        page.locator("article").first.wait_for()
        return page


def take(sandbox: Sandbox, camera: Camera) -> None:
    slack = sandbox.slack
    slack.command(DEVELOPER, CHANNEL, "/deploy frontend 2.0.0 bluegreen")
    approve(sandbox, wait(sandbox, "frontend .*waiting for 1 approval"))
    slack.command(DEVELOPER, CHANNEL, "/deploy hello 2.0.0 canary")
    camera.message("approval", wait(sandbox, "hello .*waiting for 1 approval"))
    camera.home()
    camera.tree("hello-1")
    wait(sandbox, "frontend is on 2.0.0")
    camera.message("bluegreen", wait(sandbox, "Deploy frontend .*frontend is on 2.0.0"))
    began = time.monotonic()
    slack.command(DEVELOPER, CHANNEL, "/deploy auth crash")
    card = wait(sandbox, "Deploy auth .*CrashLoopBackOff")
    slack.wait_for(lambda: time.monotonic() - began >= 10, seconds=30, what="10 s")
    camera.message("crash", card)


def main(to: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        demo = Path(folder) / "demo"
        make_demo(demo)
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--headless"]
        )
        with run_sandbox(demo=demo, ready_after=0.3, rate_scale=0) as sandbox:
            take(sandbox, Camera(browser, sandbox, to))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
