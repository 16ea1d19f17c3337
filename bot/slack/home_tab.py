"""Collects what a person's home tab shows, and publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.operations.access.freezes_in_force import freezes_in_force
from bot.operations.access.refuse import refuse, refuse_reader
from bot.operations.access.visibility import visible_to
from bot.operations.context import Context
from bot.operations.delivery.find_card import link_to
from bot.operations.delivery.send_notices import wish_of
from bot.patience import ACKNOWLEDGE_WITHIN_S, patience_of
from bot.policy.decision import ANYTHING, STARTING, button
from bot.policy.permissions import ANYWHERE
from bot.ports import SlackUnavailable, StoreUnavailable
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Target
from bot.slack.blocks.home import (
    APPS_A_PAGE,
    SHOWN,
    AppSeen,
    HomeSeen,
    home_away,
    home_refused,
    home_view,
)

MINE_AMONG = 100
OBSERVED_AMONG = 3
_WAITING = (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION)


def publish_home(context: Context, person: Person, first_app: int = 0) -> None:
    """``first_app``: the number of the app that its page of apps begins with. Slack is asked for
    links last: many take longer than a person waits for Redis."""
    try:
        with patience_of(ACKNOWLEDGE_WITHIN_S):
            view = _refusal(context, person)
            seen = HomeSeen() if view else _seen(context, person, first_app)
            cards = {one.id: context.store.card(one.id) for one in seen.linked}
    except (StoreUnavailable, SlackUnavailable) as away:
        view = home_away(str(away))
    if view is None:
        links = {one: link for one, card in cards.items() if (link := link_to(context, card))}
        view = home_view(replace(seen, links=links), context.names)
    context.messenger.publish_home(person.user, view)


def _refusal(context: Context, person: Person) -> Mapping[str, Any] | None:
    if (stranger := refuse(context, person, ANYTHING)) is not None:
        return home_away(stranger.line)
    if (refusal := refuse_reader(context, person)) is not None:
        return home_refused(refusal.line, context.names)
    return None


def _seen(context: Context, person: Person, first_app: int) -> HomeSeen:
    visible = visible_to(context, person)
    running = [one for one in context.store.active() if visible.covers_release(one)]
    recent = context.store.recent(limit=MINE_AMONG)
    mine = [release for release in recent if release.requested_by == person][:SHOWN]
    waiting = [one for one in running if _waits_for(context, person, one)]
    apps = {
        name: app for name, app in sorted(context.catalog.apps.items()) if visible.covers_app(app)
    }
    names = tuple(apps)
    first = first_app if 0 <= first_app < len(names) else 0
    page = [_app(context, apps[name].target) for name in names[first : first + APPS_A_PAGE]]
    places = {(app.target.app, app.target.cluster) for app in apps.values()}
    return HomeSeen(
        running,
        waiting,
        mine,
        may_release=refuse(context, person, STARTING, thing=ANYWHERE) is None,
        notices=wish_of(context, person.user),
        freezes=[one for one in freezes_in_force(context) if any(one.covers(*p) for p in places)],
        apps=page,
        app_names=names,
        first=first,
    )


def _waits_for(context: Context, person: Person, release: Release) -> bool:
    gate = release.progress.gate
    votes = gate.votes if gate is not None else ()
    if release.phase not in _WAITING or any(vote.by == person for vote in votes):
        return False
    return refuse(context, person, button("approve"), thing=release) is None


def _app(context: Context, target: Target) -> AppSeen:
    """What the last release that observed anything saw: the home tab waits for no cluster."""
    recent = context.store.recent(target.app, target.cluster, limit=OBSERVED_AMONG)
    seen = next((one.card_snapshot.versions for one in recent if one.card_snapshot.versions), ())
    versions = tuple((one.version, one.ready, one.pods) for one in seen if one.pods)
    return AppSeen(target.label, target.typed, versions, recent[0] if recent else None)
