"""The home tab: the form, what waits for the viewer with its buttons, freezes, what runs, the apps
with what each runs, and what the viewer started."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.commands.table import Names
from bot.policy.freezes import Freeze
from bot.releases.facts.release import Release
from bot.slack.blocks.approvals import ANSWERS
from bot.slack.blocks.buttons import (
    ACTION_PREFIX,
    buttons_of,
    may_be_rolled_back,
    roll_back_button,
    show_button,
)
from bot.slack.blocks.elements import Block, actions, context, divider, header, menu, section
from bot.slack.blocks.freezes import freeze_line, unfreeze_button
from bot.slack.blocks.words import MARKS, headline
from bot.slack.markup import code, date, link, plain

SHOWN = 10
APPS_A_PAGE = 20
PAGE = f"{ACTION_PREFIX}page"
_FREEZES_SHOWN = 5
_PAGES_LISTED = 100
NOTICES = {
    "all": "Approvals I may give, and my releases' ends",
    "mine": "When my releases end (over a minute)",
    "none": "None",
}


@dataclass(frozen=True)
class AppSeen:
    """``typed``: as a command names the app. ``versions``: what the last release saw, with ready
    and all pods; () where there was none."""

    name: str
    typed: str
    versions: tuple[tuple[str, int, int], ...] = ()
    last: Release | None = None


@dataclass(frozen=True)
class HomeSeen:
    """``links``: release id -> permalink of its card, of the releases alone: each costs a call.
    ``may_release``: offer the form. ``apps``:
    those of the page that begins with number ``first`` of ``app_names``."""

    running: Sequence[Release] = ()
    waiting_for_me: Sequence[Release] = ()
    mine: Sequence[Release] = ()
    may_release: bool = False
    links: Mapping[str, str] = field(default_factory=dict)
    notices: str = "mine"
    freezes: Sequence[Freeze] = ()
    apps: Sequence[AppSeen] = ()
    app_names: Sequence[str] = ()
    first: int = 0

    @property
    def linked(self) -> tuple[Release, ...]:
        """The releases whose cards are linked, each once."""
        shown = (*self.waiting_for_me[:SHOWN], *self.running[:SHOWN], *self.mine)
        return tuple({one.id: one for one in shown}.values())


def home_view(seen: HomeSeen, names: Names) -> Mapping[str, Any]:
    blocks: list[Block] = (
        [actions([show_button("Release an app", "deploy", style="primary")])]
        if seen.may_release
        else []
    )
    blocks += _waiting(seen)
    blocks += _freezes(seen)
    blocks += _part("Running", seen.running, seen, "No release is running in your channels.")
    blocks += _apps(seen)
    blocks += _part("Your recent releases", seen.mine, seen, "You have not released anything yet.")
    app = seen.app_names[0] if seen.app_names else "APP"
    forms = (names.example("deploy", app), names.example("pods", app), names.typed("help"))
    blocks += [divider(), _notices(seen.notices)]
    blocks += [context("Try: " + "  ".join(code(form) for form in forms))]
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _waiting(seen: HomeSeen) -> list[Block]:
    blocks: list[Block] = [header("Waiting for you")]
    if not seen.waiting_for_me:
        return [*blocks, section("Nothing is waiting for you.")]
    for release in seen.waiting_for_me[:SHOWN]:
        blocks.append(section(_line(release, seen.links.get(release.id, ""))))
        if answers := [one for one in buttons_of(release) if one["action_id"] in ANSWERS]:
            blocks.append(actions(answers))
    return [*blocks, *_more(len(seen.waiting_for_me), SHOWN)]


def _freezes(seen: HomeSeen) -> list[Block]:
    if not seen.freezes:
        return []
    shown = seen.freezes[:_FREEZES_SHOWN]
    lift = seen.may_release
    lines = [
        section(
            freeze_line(one),
            **({"accessory": unfreeze_button(one)} if lift and not one.of_catalog else {}),
        )
        for one in shown
    ]
    return [header("Frozen"), *lines, *_more(len(seen.freezes), _FREEZES_SHOWN)]


def _apps(seen: HomeSeen) -> list[Block]:
    blocks: list[Block] = [header("Apps")]
    if not seen.apps:
        return [*blocks, section("Your channels have no apps.")]
    if len(seen.app_names) > APPS_A_PAGE:
        blocks.append(_pages(seen))
    for app in seen.apps[:APPS_A_PAGE]:
        more = (
            {"accessory": show_button("Deploy", f"deploy {app.typed}")} if seen.may_release else {}
        )
        blocks.append(section(_app_line(app, seen), **more))
    return blocks


def _pages(seen: HomeSeen) -> Block:
    starts = range(0, len(seen.app_names), APPS_A_PAGE)[:_PAGES_LISTED]
    options = [(_page_name(seen, start), json.dumps({"what": str(start)})) for start in starts]
    shown = f"Apps {seen.first + 1} to {seen.first + len(seen.apps)} of {len(seen.app_names)}"
    return section(shown, accessory=menu("Show other apps", PAGE, options))


def _page_name(seen: HomeSeen, start: int) -> str:
    of_page = seen.app_names[start : start + APPS_A_PAGE]
    return f"{of_page[0][:30]} to {of_page[-1][:30]}"


def _app_line(app: AppSeen, seen: HomeSeen) -> str:
    if app.last is None:
        return f"*{plain(app.name)}*\nnot released yet"
    runs = ", ".join(
        f"{plain(version)}: {ready} of {pods} ready" for version, ready, pods in app.versions[:3]
    )
    last, when = app.last, date(app.last.finished_at or app.last.created_at, "{date_short_pretty}")
    address = link(seen.links.get(last.id, ""), last.id)
    return (
        f"*{plain(app.name)}*{f' · {runs}' if runs else ''}\n"
        f"{MARKS[last.phase]} {address} · {plain(headline(last), 200)} · {when}"
    )


def _more(found: int, shown: int) -> list[Block]:
    return [context(f"and {found - shown} more")] if found > shown else []


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
        section(_line(release, seen.links.get(release.id, "")), **_way_back(release, seen))
        for release in releases[:SHOWN]
    ]
    return [*blocks, *_more(len(releases), SHOWN)]


def _way_back(release: Release, seen: HomeSeen) -> dict[str, Block]:
    """Of the last release of an app."""
    last = {one.last.id for one in seen.apps if one.last is not None}
    is_last = release.id in last and may_be_rolled_back(release)
    return {"accessory": roll_back_button(release.id)} if is_last and seen.may_release else {}


def _line(release: Release, address: str) -> str:
    when = date(release.finished_at or release.created_at, "{date_short_pretty} {time}")
    return (
        f"{MARKS[release.phase]} *{plain(headline(release), 400)}*\n{link(address, release.id)} ·"
        f" {when}"
    )
