"""`/rollout status`: kubectl's sentence, and where there is a running release, its card."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.operations.delivery.find_card import find_card
from bot.operations.queries.list_apps import frozen_lines, running_release
from bot.operations.queries.observe_app import observe_each, unreachable_line
from bot.operations.replies import CardLink, Reply, TableReply
from bot.ports import ClusterUnreachable, Table
from bot.releases.assess.rollout import rollout_line

COLUMNS = ("APP", "STATUS", "READY", "UP-TO-DATE", "AVAILABLE", "PAUSED", "RELEASE")


def show_status(context: Context, apps: tuple[App, ...]) -> Reply:
    rows, cards = [], []
    notes = frozen_lines(context, apps)
    for app, seen in observe_each(context, apps):
        if isinstance(seen, ClusterUnreachable):
            notes.append(unreachable_line(app, seen))
            continue
        stable = seen.stable
        release = running_release(context, app.target)
        if release is not None and (link := find_card(context, release.id)):
            cards.append(CardLink(release.id, release.phase.words, link))
        state = f"{release.id}: {release.phase.words}" if release else "-"
        if stable is None:
            rows.append(
                (
                    app.target.label,
                    f"there is no Deployment {app.target.deployment}",
                    "-",
                    "-",
                    "-",
                    "-",
                    state,
                )
            )
            continue
        ready = f"{stable.ready}/{stable.replicas}"
        paused = "yes" if stable.paused else "no"
        rows.append(
            (
                app.target.label,
                rollout_line(stable),
                ready,
                str(stable.updated),
                str(stable.available),
                paused,
                state,
            )
        )
    table = Table("Rollout status", COLUMNS, tuple(rows), "\n".join(notes))
    return TableReply((table,), cards=tuple(cards))
