"""Debian's chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = Path(__file__).parents[2] / "sandbox/slack/page/node_modules/axe-core/axe.min.js"
RESULTS = Path(__file__).parents[2] / "test-results"
"""Where screenshots go: to be looked at, never compared."""


@pytest.fixture(scope="session")
def playwright_driver() -> Iterator[Playwright]:
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def browser(playwright_driver: Playwright) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(
            "no chromium here: apt-get install chromium fonts-noto-cjk fonts-noto-color-emoji"
        )
    launched = playwright_driver.chromium.launch(
        executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--headless"]
    )
    yield launched
    launched.close()


@pytest.fixture
def has_no_violation() -> Callable[[Page, str], None]:
    """Raises when axe finds something serious or critical on the page as it is."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: npm ci --ignore-scripts in sandbox/slack/page")

    def check(page: Page, where: str) -> None:
        page.evaluate(AXE.read_text(encoding="utf-8") + ";0")
        found: list[dict[str, Any]] = page.evaluate(
            "axe.run(document, {resultTypes: ['violations']})"
        )["violations"]
        serious = [
            (violation["id"], [node["html"][:120] for node in violation["nodes"][:2]])
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]
        assert serious == [], where

    return check
