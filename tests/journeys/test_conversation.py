"""Conversation beyond commands, on real parts: replace the release in front, share an answer, type
in a card's thread."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

import pytest

from tests.journeys.conftest import CHANNEL, DEVELOPER, MANAGER, VIEWER, Journey


@pytest.mark.slow
def test_a_queued_release_replaces_the_one_in_front(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m")
    journey.sees(r"holding")
    journey.say("/deploy {app} 3.0.0")
    journey.sees(r"→ 3\.0\.0 rolling · waiting for {app}-1")
    journey.click("Replace", user=DEVELOPER)
    journey.sees(r"{app} is on 3\.0\.0")
    assert "replaced by" in journey.sees(r"{app} is back on 1\.0\.0, aborted")
    assert journey.versions() == {"3.0.0": 5}
    assert not journey.exists(f"{journey.app}-canary")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "words"), [("/traffic {app}", "ready endpoints of"), ("/pods {app}", "Pods of")]
)
def test_a_private_answer_can_be_shared_with_the_channel(
    journey: Journey, question: str, words: str
) -> None:
    def public() -> list[dict[str, Any]]:
        return [m for m in journey.messages(VIEWER) if words in m["text"]]

    journey.say(question, user=DEVELOPER)
    journey.sees(words, user=DEVELOPER)
    assert public() == []
    journey.click("Share here", user=DEVELOPER)
    journey.until(public, "the answer for everyone")


@pytest.mark.slow
def test_a_plan_is_shared_with_the_channel_only_by_its_button(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary dry-run", user=DEVELOPER)
    message, _ = journey.until(
        lambda: journey.with_button("Share here", user=DEVELOPER), "the plan, with its button"
    )
    plan = message["text"]
    assert not [m for m in journey.messages(VIEWER) if m["text"] == plan]
    journey.click("Share here", user=DEVELOPER)
    journey.until(
        lambda: [m for m in journey.messages(VIEWER) if m["text"] == plan], "the plan for everyone"
    )


@pytest.mark.slow
def test_a_canarys_thread_ends_with_its_chart(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.click("Promote", user=MANAGER)
    journey.sees(r"{app} is on 2\.0\.0")
    (card,) = cards(journey)

    def charts() -> list[dict[str, Any]]:
        thread = journey.sandbox.slack.messages(CHANNEL, DEVELOPER, thread_ts=card["ts"])
        blocks = [block for m in thread for block in m.get("blocks", [])]
        return [block for block in blocks if block["type"] == "data_visualization"]

    share, pods = journey.until(charts, "the charts in the thread")
    ready = next(one for one in pods["chart"]["series"] if one["name"] == "ready")
    assert max(point["value"] for point in ready["data"]) >= 1
    (series,) = share["chart"]["series"]
    shares = [point["value"] for point in series["data"]]
    assert shares[0] == 0 and 50 in shares and shares[-1] == 100


@pytest.mark.slow
def test_a_plan_has_the_links_of_the_catalog(journey: Journey) -> None:
    def shown() -> str:
        return json.dumps([m.get("blocks") for m in journey.messages()])

    journey.say("/deploy {app} 2.0.0 canary dry-run")
    link = f"https://git.example.com/{journey.app}/compare/1.0.0...2.0.0"
    journey.until(lambda: link in shown(), "the plan with its link")


@pytest.mark.slow
def test_status_leads_to_the_card_and_brings_it_down(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m")
    journey.sees(r"holding")
    (before,) = cards(journey)
    journey.say("/rollout status {app}")
    journey.click("Bring its card down", user=DEVELOPER)
    (after,) = journey.until(
        lambda: [m for m in cards(journey) if m["ts"] != before["ts"]], "the card at the bottom"
    )
    journey.sees(r"canary: its card is further down")
    journey.click("Abort", user=DEVELOPER)
    journey.sees(r"{app} 1\.0\.0 → 2\.0\.0 canary · aborted")
    assert [m["ts"] for m in journey.messages() if "canary · aborted" in m["text"]] == [after["ts"]]


def cards(journey: Journey) -> list[dict[str, Any]]:
    keys = ((m, (m.get("metadata") or {}).get("event_payload", {})) for m in journey.messages())
    return [m for m, payload in keys if ":card" in payload.get("key", "")]


@pytest.mark.slow
def test_commands_in_a_card_thread_need_no_app_name(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m")
    journey.sees(r"holding")
    card = next(m for m in journey.messages() if "canary" in m["text"] and m.get("metadata"))
    journey.sandbox.slack.command(
        DEVELOPER, CHANNEL, "<@U0BOT> rollout abort", thread_ts=card["ts"]
    )
    journey.sees(r"{app} 1\.0\.0 → 2\.0\.0 canary · aborted")
    assert journey.versions() == {"1.0.0": 5}


@pytest.mark.slow
def test_a_rejection_shows_its_reason_on_the_card(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(r"waiting for approval")
    journey.reject("error rate is up")
    assert "error rate is up" in journey.sees(r"canary · rejected")


@pytest.mark.slow
def test_the_home_tab_promotes_what_waits_and_shows_what_runs(journey: Journey) -> None:
    slack = journey.sandbox.slack
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(r"waiting for approval")

    def home(words: str) -> dict[str, Any] | None:
        slack.open_home(MANAGER)
        view = slack.home(MANAGER)
        return view if view and words in json.dumps(view, ensure_ascii=False) else None

    view = journey.until(lambda: home("Promote"), "the question in the home tab")
    promote = next(
        one
        for block in view["blocks"]
        for one in block.get("elements", [])
        if journey.app in one.get("value", "") and one["text"]["text"] == "Promote"
    )
    slack.choose(MANAGER, view["id"], promote["action_id"], promote["value"])
    journey.sees(r"{app} is on 2\.0\.0")
    runs = f"*{journey.app}* · 2.0.0: 5 of 5 ready"

    def what_runs() -> bool:
        view: dict[str, Any] = slack.home(MANAGER) or {}
        if runs in json.dumps(view, ensure_ascii=False):
            return True
        pages, page = _page_with(journey.app, view)  # the apps of all journeys fill several
        slack.choose(MANAGER, view["id"], pages["action_id"], page)
        return False

    journey.until(what_runs, "what runs")


def _page_with(app: str, view: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The menu of pages, and its option for the page that the app is on."""
    pages = next(
        block["accessory"]
        for block in view["blocks"]
        if block.get("accessory", {}).get("action_id") == "release:page"
    )
    begins = [option["text"]["text"].partition(" to ")[0] for option in pages["options"]]
    return pages, pages["options"][bisect_right(begins, app) - 1]


def test_the_form_shows_the_plan_before_anything_starts(
    journey: Journey,
) -> None:
    slack = journey.sandbox.slack
    journey.say("/deploy {app}")
    (view,) = slack.views(DEVELOPER)
    slack.choose(DEVELOPER, view["id"], "deploy_strategy", "canary")
    slack.choose(DEVELOPER, view["id"], "deploy_version", "2.0.0")

    def shown() -> str:
        return next(
            (
                str(block["text"]["text"])
                for v in slack.views(DEVELOPER)
                for block in v["blocks"]
                if block["type"] == "section"
            ),
            "",
        )

    wanted = (  # each choice draws the outline, and later the plan, anew
        "17% to 2.0.0: 1 canary pod beside 5 (asked: 20%)"
    )
    journey.until(
        lambda: all(words in shown() for words in ("Plan as of now", wanted)),
        "the plan in the form",
    )
    slack.choose(DEVELOPER, view["id"], "deploy_version", "1.0.0")
    journey.until(lambda: "already runs 1.0.0" in shown(), "why it cannot be")
    assert journey.untouched()
    slack.close_view(DEVELOPER)
