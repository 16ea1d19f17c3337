"""The home tab: the form, then the releases that wait for the viewer, that run, and that the viewer
started, each with a link to its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.commands.table import Names
from bot.releases.facts.release import Release
from bot.slack.blocks.buttons import ACTION_PREFIX, show_button
from bot.slack.blocks.elements import Block, actions, context, divider, header, section
from bot.slack.blocks.words import MARKS, headline
from bot.slack.markup import code, date, link, plain

SHOWN = 10
NOTICES = {
    "all": "Approvals I may give, and my releases' ends",
    "mine": "When my releases end (over a minute)",
    "none": "None",
}


@dataclass(frozen=True)
class HomeSeen:
    """``links``: release id -> permalink of its card. ``may_release``: offer the form."""

    running: Sequence[Release] = ()
    waiting_for_me: Sequence[Release] = ()
    mine: Sequence[Release] = ()
    may_release: bool = False
    links: Mapping[str, str] = field(default_factory=dict)
    notices: str = "mine"


def home_view(seen: HomeSeen, names: Names, apps: Sequence[str]) -> Mapping[str, Any]:
    blocks: list[Block] = (
        [actions([show_button("Release an app", "deploy", style="primary")])]
        if seen.may_release
        else []
    )
    blocks += _part("Waiting for you", seen.waiting_for_me, seen, "Nothing is waiting for you.")
    blocks += _part("Running", seen.running, seen, "No release is running.")
    blocks += _part("Your recent releases", seen.mine, seen, "You have not released anything yet.")
    app = apps[0] if apps else "APP"
    forms = (names.example("deploy", app), names.example("pods", app), names.typed("help"))
    blocks += [divider(), _notices(seen.notices)]
    blocks += [context("Try: " + "  ".join(code(form) for form in forms))]
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _notices(chosen: str) -> Block:
    options = [
        {
            "text": {"type": "plain_text", "text": text},
            "value": json.dumps({"what": wish}),
        }
        for wish, text in NOTICES.items()
    ]
    select = {
        "type": "static_select",
        "action_id": f"{ACTION_PREFIX}notices",
        "options": options,
        "initial_option": options[list(NOTICES).index(chosen)],
    }
    return section("*Direct messages* to me", accessory=select)


def home_away(why: str) -> Mapping[str, Any]:
    """What runs is unknown, which is not the same as nothing running."""
    return {
        "type": "home",
        "callback_id": "home",
        "blocks": [
            section(f"⚠️ {plain(why.removesuffix('.'), 500)}. Open this tab again in a moment.")
        ],
    }


def home_refused(why: str, names: Names) -> Mapping[str, Any]:
    """For people who may not read: nothing of what runs."""
    hint = context(f"See {code(names.typed('whoami'))}.")
    return {"type": "home", "callback_id": "home", "blocks": [section(plain(why, 500)), hint]}


def _part(title: str, releases: Sequence[Release], seen: HomeSeen, none: str) -> list[Block]:
    blocks: list[Block] = [header(title)]
    if not releases:
        return [*blocks, section(none)]
    blocks += [
        section(_line(release, seen.links.get(release.id, ""))) for release in releases[:SHOWN]
    ]
    if len(releases) > SHOWN:
        blocks.append(context(f"and {len(releases) - SHOWN} more"))
    return blocks


def _line(release: Release, address: str) -> str:
    when = date(release.finished_at or release.created_at, "{date_short_pretty} {time}")
    return (
        f"{MARKS[release.phase]} *{plain(headline(release), 400)}*\n{link(address, release.id)} ·"
        f" {when}"
    )
