"""Socket mode: the same bot, worker and cluster, without an address that Slack could reach."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.main import run_sandbox
from tests.card_buttons import newest_offer, press

CHANNEL, DEVELOPER, MANAGER = "C0RELEASES", "U0DEV1", "U0MANAGER"


@pytest.mark.slow
def test_command_click_form_mention_and_home_work_over_socket_mode() -> None:
    with run_sandbox(ready_after=0.2, rate_scale=0, socket_mode=True) as sandbox:
        slack = sandbox.slack

        def told(words: str, *, thread_ts: str | None = None) -> Any:
            def look() -> Any:
                return next(
                    (
                        m
                        for m in reversed(slack.messages(CHANNEL, DEVELOPER, thread_ts))
                        if words in m["text"]
                    ),
                    None,
                )

            return slack.wait_for(look, what=words)

        slack.wait_for(
            lambda: slack.get("workspace")["transport"] == "socket", what="the bot connected"
        )
        slack.command(DEVELOPER, CHANNEL, "/deploy")
        view = slack.wait_for(lambda: slack.views(DEVELOPER), what="the form")[0]
        slack.choose(DEVELOPER, view["id"], "deploy_app", "hello")
        slack.close_view(DEVELOPER)
        slack.command(DEVELOPER, CHANNEL, "/deploy hello 2.0.0 canary steps=50 hold=0s")
        card = told("waiting for approval")
        promote = newest_offer([card], "Promote")
        assert promote is not None
        press(slack, MANAGER, CHANNEL, promote)
        told("hello is on 2.0.0")
        asked = slack.command(DEVELOPER, CHANNEL, "<@U0BOT> releases hello")["message"]["ts"]
        told("hello-1: hello 1.0.0 → 2.0.0 canary", thread_ts=asked)
        slack.open_home(DEVELOPER)
        slack.wait_for(lambda: "hello-1" in str(slack.home(DEVELOPER)), what="the home tab")
        assert {entry["transport"] for entry in slack.log(kind="delivery")} == {"socket"}
