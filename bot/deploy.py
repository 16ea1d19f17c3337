"""`pilothouse deploy APP VERSION [STRATEGY] [--wait]`: a pipeline starts a release and ends as it
ends. A client of the API, and of nothing else."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from bot.api_client import ApiClient, Away, Event, Refused
from bot.slack.markup import for_terminal
from config.api_access import TOKEN_FILE, URL, read_api_access
from config.durations import parse_duration

SUCCEEDED, FAILED, USAGE, ROLLED_BACK, STOPPED, REFUSED, AWAY, TIME_IS_UP = range(8)
INTERRUPTED = 130
EXITS: Mapping[str, int] = {
    "succeeded": SUCCEEDED,
    "failed": FAILED,
    "rolled_back": ROLLED_BACK,
    "aborted": STOPPED,
    "rejected": STOPPED,
    "expired": STOPPED,
}
"""By the phase in which a release ends."""

_EPILOG = f"""\
{URL} is the address of the API, {TOKEN_FILE} a file with the token.

exit status: 0 succeeded, or accepted without --wait; 1 failed; 2 usage; 3 rolled back; 4 aborted,
rejected or expired; 5 refused by the API, nothing was started; 6 the API cannot be reached;
7 --timeout is over and the release continues; 130 Ctrl-C, and the release continues
"""


def main(argv: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(argv)
    shown = Display(Console(highlight=False, soft_wrap=True))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a pipeline that is cancelled
    try:
        access = read_api_access(os.environ)
    except ValueError as mistake:
        print(mistake, file=sys.stderr)
        return USAGE
    client = ApiClient(access.url, access.token)
    ends_at = None if given.timeout is None else time.monotonic() + given.timeout / 1000
    try:
        release = client.start(_body(given), given.key or uuid.uuid4().hex)
    except Refused as refused:
        print(f"refused ({refused.code}): {for_terminal(refused.line)}", file=sys.stderr)
        return REFUSED
    except Away as away:
        print(f"the API cannot be reached: {for_terminal(str(away))}", file=sys.stderr)
        return AWAY
    except KeyboardInterrupt:
        print("interrupted: the release may have been started", file=sys.stderr)
        return INTERRUPTED
    shown.accepted(release)
    return follow(client, release, shown, ends_at) if given.wait else SUCCEEDED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pilothouse deploy",
        description="Start a release through the API, and follow it with --wait.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("app")
    parser.add_argument("version", help="a tag, a digest or a full image")
    parser.add_argument("strategy", nargs="?", choices=["rolling", "canary", "bluegreen"])
    parser.add_argument("--in", dest="cluster", metavar="CLUSTER", help="where the app has several")
    parser.add_argument("--steps", type=_shares, metavar="20,50", help="of a canary")
    parser.add_argument("--hold", metavar="2m", help="of a canary")
    parser.add_argument("--sticky", action="store_true", help="of a canary")
    parser.add_argument("--reason", default="", help="shown on the card")
    parser.add_argument(
        "--triggered-by", metavar="U…", help="the Slack member ID of the person behind it"
    )
    parser.add_argument(
        "--key", help="names this request: the same key starts one release a day, such as a build"
    )
    parser.add_argument("--wait", action="store_true", help="follow it, and end as it ends")
    parser.add_argument(
        "--timeout",
        type=_milliseconds,
        metavar="2h",
        help="how long to follow it; default: to its end",
    )
    return parser


def _shares(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not a list of shares: 20,50") from None


def _milliseconds(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as mistake:
        raise argparse.ArgumentTypeError(str(mistake)) from None


def _body(given: argparse.Namespace) -> dict[str, Any]:
    fields = {
        "app": given.app,
        "version": given.version,
        "strategy": given.strategy,
        "cluster": given.cluster,
        "steps": given.steps,
        "hold": given.hold,
        "sticky": given.sticky or None,
        "reason": given.reason or None,
        "triggered_by": given.triggered_by,
    }
    return {name: value for name, value in fields.items() if value is not None}


def follow(
    client: ApiClient, release: dict[str, Any], shown: Display, ends_at: float | None
) -> int:
    name = str(release["id"])
    try:
        with shown.live():
            for event in client.events(name, ends_at):
                if event.kind == "end":
                    return _ended(client, name, shown)
                shown.event(event)
                shown.state(client.release(name))
    except KeyboardInterrupt:
        shown.note(_continues(name, "interrupted"))
        return INTERRUPTED
    except TimeoutError:
        shown.note(_continues(name, "the time is over"))
        return TIME_IS_UP
    except Refused as refused:
        shown.note(_continues(name, f"the API refuses ({refused.code}): {refused.line}"))
        return AWAY
    except Away as away:
        shown.note(_continues(name, f"the API cannot be reached any more: {away}"))
        return AWAY
    raise AssertionError("a stream ends with its end")


def _continues(name: str, why: str) -> str:
    app = name.rpartition("-")[0]
    return (
        f"{why}. {name} continues. To stop it, press Abort on its card in Slack or type"
        f" `/rollout abort {app}` there."
    )


def _ended(client: ApiClient, name: str, shown: Display) -> int:
    release = client.release(name)
    shown.ended(release)
    return EXITS.get(str(release["phase"]), FAILED)


class Display:
    """On a terminal what it waits for stays in the last line; elsewhere there are lines alone."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("starting", spinner="dots")

    def live(self) -> Any:
        return self._status if self._console.is_terminal else _Nothing()

    def note(self, text: str) -> None:
        self._console.print(for_terminal(text), markup=False)

    def accepted(self, release: dict[str, Any]) -> None:
        self.note(
            f"{release['id']}: {release['app']} {release['version']} {release['strategy']} on"
            f" {release['cluster']}"
        )

    def event(self, event: Event) -> None:
        at, text = str(event.data.get("at", "")), str(event.data.get("text", ""))
        self.note(f"{at[11:19]} {event.kind.replace('_', ' ')}: {text}")

    def state(self, release: dict[str, Any]) -> None:
        if self._console.is_terminal:
            self._status.update(Text(for_terminal(state_of(release))))

    def ended(self, release: dict[str, Any]) -> None:
        why = f": {release['cause']}" if release.get("cause") else ""
        self.note(f"{release['id']} {str(release['phase']).replace('_', ' ')}{why}")


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def state_of(release: dict[str, Any]) -> str:
    """One line: where a release is, and whom it waits for."""
    parts = [str(release["id"]), str(release["phase"]).replace("_", " ")]
    if step := release.get("step"):
        parts.append(f"step {step['number']} of {step['of']} {step['title']}".rstrip())
    if approval := release.get("approval"):
        parts.append(
            f"{approval['given']} of {approval['needed']} approvals in Slack: {approval['what']}"
        )
    if behind := release.get("behind"):
        parts.append(f"behind {behind}")
    return " · ".join(parts)
