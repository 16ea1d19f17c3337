"""Collects what a person's home tab shows, and publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.operations.access.refuse import refuse, refuse_reader
from bot.operations.context import Context
from bot.operations.delivery.find_card import find_card
from bot.operations.delivery.send_notices import wish_of
from bot.policy.decision import ANYTHING, STARTING, button
from bot.ports import StoreUnavailable
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase
from bot.slack.blocks.home import SHOWN, HomeSeen, home_away, home_refused, home_view

MINE_AMONG = 100
_WAITING = (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION)


def publish_home(context: Context, person: Person) -> None:
    try:
        view = _view(context, person)
    except StoreUnavailable as away:
        view = home_away(str(away))
    context.messenger.publish_home(person.user, view)


def _view(context: Context, person: Person) -> Mapping[str, Any]:
    if (stranger := refuse(context, person, ANYTHING)) is not None:
        return home_away(stranger.line)
    if (refusal := refuse_reader(context, person)) is not None:
        return home_refused(refusal.line, context.names)
    running = context.store.active()
    waiting = [
        release
        for release in running
        if release.phase in _WAITING
        and refuse(context, person, button("approve"), thing=release) is None
    ]
    mine = [
        release
        for release in context.store.recent(limit=MINE_AMONG)
        if release.requested_by == person
    ][:SHOWN]
    shown = {release.id: release for release in (*waiting[:SHOWN], *running[:SHOWN], *mine)}
    links = {
        release.id: link for release in shown.values() if (link := find_card(context, release.id))
    }
    may_deploy = refuse(context, person, STARTING) is None
    seen = HomeSeen(running, waiting, mine, may_deploy, links)
    seen = replace(seen, notices=wish_of(context, person.user))
    return home_view(seen, context.names, tuple(context.catalog.apps))
