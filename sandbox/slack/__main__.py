"""`python -m sandbox.slack`: the local Slack as a process of its own."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bot.stop_signal import StopSignal
from sandbox.slack.runner import LocalSlack
from sandbox.slack.settings import SlackSettings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.slack", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument(
        "--bot-url",
        help=(
            "where the app takes Slack's requests, for instance http://127.0.0.1:3000/slack/events"
        ),
    )
    parser.add_argument("--manifest", type=Path, help="an app manifest to install (YAML or JSON)")
    parser.add_argument(
        "--rate-scale",
        type=float,
        default=1.0,
        help="1: Slack's rates, 2: twice as much, 0: no rate limits",
    )
    parser.add_argument(
        "--first-command", action="append", help="a suggestion on the empty page; may be repeated"
    )
    options = parser.parse_args(arguments)
    made_up = SlackSettings()
    settings = SlackSettings(
        bot_url=options.bot_url,
        signing_secret=os.environ.get("SLACK_SIGNING_SECRET", made_up.signing_secret),
        bot_token=os.environ.get("SLACK_BOT_TOKEN", made_up.bot_token),
        app_token=os.environ.get("SLACK_APP_TOKEN", made_up.app_token),
        rate_scale=options.rate_scale,
        first_commands=tuple(options.first_command or made_up.first_commands),
    )
    stop = StopSignal().on_signals()
    with LocalSlack(settings, port=options.port) as slack:
        if options.manifest is not None:
            answer = slack.install(options.manifest.read_text())
            if not answer["ok"]:
                print(f"{options.manifest}: {'; '.join(answer['details'])}", file=sys.stderr)
                return 2
        print(f"Local Slack: {slack.url}   (Web API: {slack.api_url})", flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
