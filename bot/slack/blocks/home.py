"""The home tab: what runs, what waits for me, what I did lately; each with a link to its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.commands.table import Names
from bot.releases.model import Release
from bot.slack.blocks.elements import Block, context, divider, header, section
from bot.slack.blocks.words import MARKS, headline
from bot.slack.markup import code, date, plain

SHOWN = 10


@dataclass(frozen=True)
class HomeSeen:
    """``links``: release id -> permalink of its card."""

    running: Sequence[Release] = ()
    waiting_for_me: Sequence[Release] = ()
    mine: Sequence[Release] = ()
    links: Mapping[str, str] = field(default_factory=dict)


def home_view(seen: HomeSeen, names: Names, apps: Sequence[str]) -> Mapping[str, Any]:
    blocks: list[Block] = []
    blocks += _part("Waiting for you", seen.waiting_for_me, seen, "Nothing waits for you.")
    blocks += _part("Running", seen.running, seen, "No release is running.")
    blocks += _part("Your recent releases", seen.mine, seen, "You have not released anything yet.")
    app = apps[0] if apps else "APP"
    forms = (names.example("deploy", app), names.example("pods", app), names.typed("help"))
    blocks += [divider(), context("Try: " + "  ".join(code(form) for form in forms))]
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _part(title: str, releases: Sequence[Release], seen: HomeSeen, none: str) -> list[Block]:
    blocks: list[Block] = [header(title)]
    if not releases:
        return [*blocks, section(none)]
    blocks += [section(_line(release, seen.links.get(release.id, ""))) for release in releases[:SHOWN]]
    if len(releases) > SHOWN:
        blocks.append(context(f"and {len(releases) - SHOWN} more"))
    return blocks


def _line(release: Release, link: str) -> str:
    name = (
        f"<{link}|{release.id}>" if link.startswith(("https://", "http://")) and ">" not in link and "|" not in link else code(release.id)
    )
    when = date(release.finished_at or release.created_at, "{date_short_pretty} {time}")
    return f"{MARKS[release.phase]} *{plain(headline(release), 400)}*\n{name} · {when}"
