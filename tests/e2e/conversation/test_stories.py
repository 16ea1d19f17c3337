"""The whole canary story as people live it: by clicks as two people, and once by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conversation.conftest import Screen

pytestmark = pytest.mark.browser


def test_a_canary_from_the_help_to_the_record_by_clicks_as_two_people(
    open_screen: Callable[..., Screen], has_no_violation: Callable[[Page, str], None]
) -> None:
    screen = open_screen()
    _start_by_form(screen, has_no_violation)
    card = screen.card("hello 1.0.0 → 2.0.0 canary")
    _promote_as_two_people(screen, card, has_no_violation)
    _read_the_thread(screen, card, has_no_violation)
    _find_the_release_at_home(screen, has_no_violation)


def _start_by_form(screen: Screen, has_no_violation: Callable[[Page, str], None]) -> None:
    page = screen.page
    screen.say("/help")
    page.get_by_role("button", name="Release an app").click()
    form = page.get_by_role("dialog", name="Deploy")
    form.get_by_role("combobox", name="App").click()
    form.get_by_role("option", name="hello").click()
    form.get_by_label("canary", exact=False).check()
    version = form.locator('[data-block-id="version"] input')
    version.fill("2.0.0")
    version.press("Enter")
    expect(form).to_contain_text("Plan as of now")
    expect(form).to_contain_text("17% to 2.0.0: 1 canary pod beside 5 (asked: 20%)")
    expect(form).to_contain_text("/deploy hello 2.0.0 canary")
    has_no_violation(page, "the form")
    screen.picture("story-form", form)
    form.get_by_role("button", name="Deploy", exact=True).click()
    expect(form).to_be_hidden()


def _promote_as_two_people(
    screen: Screen, card: Locator, has_no_violation: Callable[[Page, str], None]
) -> None:
    page = screen.page
    expect(card).to_contain_text("17% of traffic to 2.0.0")
    expect(card).to_contain_text("holding until")
    card.get_by_role("button", name="Continue now").click()
    expect(
        page.locator(".timeline").first.get_by_text(
            "Ending the hold early needs the approver role."
        )
    ).to_be_visible()

    screen.become("Release manager")
    card.get_by_role("button", name="Continue now").click()
    expect(card).to_contain_text("50% of traffic to 2.0.0")
    expect(card).to_contain_text("holding until")
    screen.picture("story-hold", card)
    card.get_by_role("button", name="Continue now").click()
    expect(card).to_contain_text("waiting for approval")
    expect(card).to_contain_text("Needs: an approver other than @Developer")
    has_no_violation(page, "the card that asks")
    screen.picture("story-asks", card)
    expect(screen.loud("hello .* canary: waiting for 1 approval")).to_be_visible()
    card.get_by_role("button", name=re.compile(r"\d+ repl")).click()
    screen.picture("story-desktop")
    page.keyboard.press("Escape")
    card.get_by_role("button", name="Promote").click()
    page.get_by_role("dialog").get_by_role("button", name="Promote").click()
    expect(card).to_contain_text("hello is on 2.0.0")
    expect(card.get_by_role("button", name=re.compile("Promote|Pause|Abort"))).to_have_count(0)
    assert screen.image("hello").endswith(":2.0.0")
    assert "hello-canary" not in screen.deployments()


def _read_the_thread(
    screen: Screen, card: Locator, has_no_violation: Callable[[Page, str], None]
) -> None:
    page = screen.page
    card.get_by_role("button", name=re.compile(r"\d+ repl")).click()
    thread = page.get_by_role("complementary", name="Thread")
    expect(thread).to_contain_text("release-manager approved")
    expect(thread).to_contain_text("@Developer hello is on 2.0.0")
    expect(thread.locator("table")).to_contain_text("hello:2.0.0")
    has_no_violation(page, "the thread")
    screen.picture("story-thread")
    page.keyboard.press("Escape")


def _find_the_release_at_home(
    screen: Screen, has_no_violation: Callable[[Page, str], None]
) -> None:
    page = screen.page
    screen.become("Developer")
    page.get_by_role("button", name="Pilothouse home").click()
    home = page.get_by_role("region", name="Home of Pilothouse")
    expect(home).to_contain_text("hello 1.0.0 → 2.0.0 canary · hello is on 2.0.0")
    has_no_violation(page, "home")
    screen.picture("story-home")
    expect(home.locator("button, a[href]").first).to_have_text("Release an app")
    home.get_by_role("button", name="Release an app").press("Enter")
    expect(
        page.get_by_role("dialog", name="Deploy").get_by_role("combobox", name="App")
    ).to_be_visible()
    page.keyboard.press("Escape")
    home.get_by_role("link", name="hello-1").first.click()
    expect(page.locator("article.message-highlight")).to_contain_text("hello is on 2.0.0")


def tab_to(page: Page, wanted: Locator, *, back: bool = False, at_most: int = 80) -> None:
    for _ in range(at_most):
        if wanted.count() and wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"not reached by keyboard: {wanted}")


def test_a_canary_by_keyboard_alone(open_screen: Callable[..., Screen]) -> None:
    screen = open_screen()
    page, keyboard = screen.page, screen.page.keyboard
    keyboard.type("/deploy frontend 2.0.0 canary steps=50 hold=1s")
    keyboard.press("Enter")
    card = screen.card("frontend 1.0.0 → 2.0.0 canary")
    expect(card).to_contain_text("waiting for approval")

    acting = page.get_by_label("Acting as")
    tab_to(page, acting, back=True)
    keyboard.type("Release")
    expect(acting).to_have_value("U0MANAGER")
    promote = card.get_by_role("button", name="Promote")
    tab_to(page, promote)
    keyboard.press("Enter")
    tab_to(page, page.get_by_role("dialog").get_by_role("button", name="Promote"))
    keyboard.press("Enter")
    expect(card).to_contain_text("frontend is on 2.0.0")
    expect(
        card
    ).to_be_focused()  # its button is gone: the card has the focus, not the top of the page
    expect(page.locator('[aria-live="polite"]')).to_contain_text("frontend is on 2.0.0")
    assert screen.image("frontend").endswith(":2.0.0")


def test_a_failure_reaches_the_one_on_call_on_a_phone_in_the_dark(
    open_screen: Callable[..., Screen], has_no_violation: Callable[[Page, str], None]
) -> None:
    screen = open_screen(390, 844, "dark")
    page = screen.page
    screen.say("/deploy auth missing")
    loud = screen.loud("auth 1.0.0 → missing rolling failed")
    expect(loud).to_contain_text("@Developer")
    card = screen.card(r"auth 1\.0\.0 → missing rolling\s+↩️ rolled back")
    expect(card).to_contain_text("rolled back: auth is on 1.0.0")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    has_no_violation(page, "a failure on a phone")
    screen.picture("story-failure-phone")
    assert screen.image("auth").endswith(":1.0.0")
    loud.get_by_role("link", name=re.compile(r"Card of auth-\d+")).click()
    expect(page.locator("article.message-highlight")).to_contain_text(
        "rolled back: auth is on 1.0.0"
    )

    screen.say("/deploy auth")
    form = page.get_by_role("dialog", name="Deploy")
    expect(form).to_contain_text("Outline")
    assert form.evaluate("box => box.scrollWidth - box.clientWidth") == 0
    has_no_violation(page, "the form on a phone")
    screen.picture("story-form-phone")
    page.keyboard.press("Escape")
    card.get_by_role("button", name=re.compile(r"\d+ repl")).click()
    expect(page.get_by_role("complementary", name="Thread")).to_contain_text(
        "auth is back on 1.0.0"
    )
    has_no_violation(page, "the thread on a phone")
    page.get_by_role("button", name="Close thread").click()
    page.get_by_role("button", name="Open channels").click()
    page.get_by_role("button", name="Pilothouse home").click()
    expect(page.get_by_role("region", name="Home of Pilothouse")).to_contain_text(
        "auth 1.0.0 → missing rolling"
    )
    has_no_violation(page, "home on a phone")
    screen.picture("story-home-phone")
