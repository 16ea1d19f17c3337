"""`python -m tests.e2e.pictures [FOLDER]`: the tables of docs/images and the home tab, as a browser
draws them; with a folder, all of them in every size."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml
from playwright.sync_api import sync_playwright

from sandbox.main import DEMO, Sandbox, run_sandbox
from tests.e2e.conftest import ARGUMENTS, CHROMIUM

IMAGES = Path(__file__).parents[2] / "docs" / "images"
CHANNEL, DEVELOPER = "C0RELEASES", "U0DEV1"
SIZES = {"desktop": (1280, 900, 1.0), "phone": (390, 844, 2.0)}
IN_THE_DOCS = (
    "pods-desktop",
    "pods-phone",
    "services-desktop",
    "traffic-phone",
    "history-desktop",
    "apply-desktop",
)
QUESTIONS = {
    "pods": ("/pods hello", "candidate, revision"),
    "services": ("/get services", "EXTERNAL-IP"),
    "traffic": ("/traffic hello", "ready endpoints of"),
    "history": ("/rollout history hello", "WHO"),
    "apply": ("/apply hello", "Apply the manifests"),
}


def make_demo(to: Path) -> None:
    """The sandbox's demo, whose manifests of hello say a little more than what runs."""
    shutil.copytree(DEMO, to)
    catalog = yaml.safe_load((to / "catalog.yaml").read_text(encoding="utf-8"))
    catalog["apps"]["hello"] |= {
        "canary": {"steps": [25], "hold": "10m"},
        "manifests": ["apply/hello.yaml"],
        "files": {"secrets": {"hello-tls": "apply/tls/"}},
    }
    (to / "apply" / "tls").mkdir(parents=True)
    (to / "apply" / "tls" / "key.pem").write_text("not shown", encoding="utf-8")
    deployment, service = yaml.safe_load_all(
        (to / "manifests" / "hello.yaml").read_text(encoding="utf-8")
    )
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "GREETING", "value": "hello"}
    ]
    (to / "apply" / "hello.yaml").write_text(
        yaml.safe_dump_all([deployment, service]), encoding="utf-8"
    )
    (to / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")


def newest(sandbox: Sandbox, words: str) -> str:
    """ts of the newest message with these words, "" while there is none."""
    found = [
        m["ts"] for m in sandbox.slack.messages(CHANNEL, DEVELOPER) if re.search(words, m["text"])
    ]
    return str(found[-1]) if found else ""


def ask(sandbox: Sandbox, text: str, words: str) -> str:
    sandbox.slack.command(DEVELOPER, CHANNEL, text)
    return str(sandbox.slack.wait_for(lambda: newest(sandbox, words), seconds=30, what=words))


def take(sandbox: Sandbox, messages: Mapping[str, str], to: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--headless"]
        )
        for size, (width, height, scale) in SIZES.items():
            page = browser.new_page(
                viewport={"width": width, "height": height},
                device_scale_factor=scale,
                bypass_csp=True,
            )
            page.goto(sandbox.url)
            for name, ts in messages.items():
                if to == IMAGES and f"{name}-{size}" not in IN_THE_DOCS:
                    continue
                message = page.locator(f'article[data-ts="{ts}"]').first
                message.scroll_into_view_if_needed()
                message.screenshot(path=to / f"{name}-{size}.png")
        browser.close()


def take_home(sandbox: Sandbox, to: Path) -> None:
    """A release manager's home tab: a question, a freeze, and what runs."""
    sandbox.slack.command(DEVELOPER, CHANNEL, "/deploy auth 2.0.0 canary steps=50 hold=0s")
    ask(sandbox, '/pilothouse freeze frontend reason="month end" until=2h', "frontend is frozen")
    sandbox.slack.wait_for(
        lambda: newest(sandbox, "auth .*waiting for 1 approval"), seconds=30, what="the question"
    )
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--headless"]
        )
        for size, (width, _, _) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": 1100}, bypass_csp=True)
            page.add_init_script("localStorage.setItem('me', 'U0MANAGER')")
            page.goto(sandbox.url)
            if size == "phone":
                page.get_by_role("button", name="Open channels").click()
            page.get_by_role("button", name="Pilothouse home").click()
            page.get_by_role("button", name="Promote").wait_for()
            page.screenshot(path=to / f"home-{size}.png")
        browser.close()


def main(to: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        make_demo(demo)
        with run_sandbox(demo=demo, ready_after=0.3, rate_scale=0) as sandbox:
            ask(sandbox, "/deploy hello 2.0.0", r"hello is on 2\.0\.0")
            ask(sandbox, "/deploy hello 3.0.0 canary", "holding")
            take(
                sandbox, {name: ask(sandbox, *question) for name, question in QUESTIONS.items()}, to
            )
            take_home(sandbox, to)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
