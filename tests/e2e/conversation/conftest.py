"""A real sandbox (bot, worker, simulated cluster, local Slack) and people at its page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from playwright.sync_api import Browser, Locator, Page, expect

from sandbox.main import DEMO, Sandbox, run_sandbox
from tests.e2e.conftest import RESULTS

CHANNEL = "C0RELEASES"
PATIENCE_MS = 40_000


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """As `make sandbox` starts it, Slack's rates included; `hello` and its like hold for a minute
    where nobody goes on."""
    demo = tmp_path_factory.mktemp("story") / "demo"
    shutil.copytree(DEMO, demo)
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    for app in catalog["apps"].values():
        app["canary"] = {"steps": [20, 50], "hold": "60s"}
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    with run_sandbox(demo=demo, ready_after=0.3) as running:
        yield running


@dataclass
class Screen:
    """The page as one person has it open."""

    page: Page
    sandbox: Sandbox

    def become(self, name: str) -> None:
        self.page.get_by_label("Acting as").select_option(label=name)

    @property
    def composer(self) -> Locator:
        return self.page.locator("#composer textarea")

    def say(self, text: str) -> None:
        self.composer.fill(text)
        self.composer.press("Enter")

    def card(self, words: str) -> Locator:
        """The newest message with these words in its first lines."""
        return self._articles(words).filter(has_not_text="Card of ").last

    def loud(self, words: str) -> Locator:
        """The newest message of its own with these words: it links to its card."""
        return self._articles(words).filter(has_text="Card of ").last

    def _articles(self, words: str) -> Locator:
        return self.page.locator(".timeline article").filter(has_text=re.compile(words))

    def picture(self, name: str, of: Locator | None = None) -> None:
        RESULTS.mkdir(exist_ok=True)
        (of or self.page).screenshot(path=RESULTS / f"{name}.png")

    def image(self, app: str) -> str:
        """What the cluster runs."""
        with config.new_client_from_config(str(self.sandbox.kubeconfig)) as api:
            deployment: Any = client.AppsV1Api(api).read_namespaced_deployment(app, "default")
            return str(deployment.spec.template.spec.containers[0].image)

    def deployments(self) -> set[str]:
        with config.new_client_from_config(str(self.sandbox.kubeconfig)) as api:
            return {
                item.metadata.name
                for item in client.AppsV1Api(api).list_namespaced_deployment("default").items
            }


@pytest.fixture
def open_screen(browser: Browser, sandbox: Sandbox) -> Iterator[Callable[..., Screen]]:
    """Opens the page at a width and in a scheme; an error of the page fails the test."""
    contexts, errors = [], []

    def open_it(width: int = 1280, height: int = 900, scheme: Any = "light") -> Screen:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.goto(sandbox.url)
        page.wait_for_selector("#composer textarea")
        return Screen(page, sandbox)

    yield open_it
    expect.set_options(timeout=5_000)
    for context in contexts:
        context.close()
    assert errors == []
