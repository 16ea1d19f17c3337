"""The `/deploy` form, filled in without the cluster. A worker adds the plan
(bot.operations.queries.preview_release)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from bot.commands.deploy_form import DeployForm
from bot.commands.model import DeployCommand
from bot.operations.access.refuse import refuse_reader
from bot.operations.context import Context
from bot.operations.queries.known_versions import known_versions
from bot.operations.queries.preview_release import ask_for_preview
from bot.operations.replies import OpenFormReply
from bot.query import dump_form, load_form
from bot.releases.facts.people import Person
from bot.slack.blocks.outline import outline
from config.durations import format_duration

FORM_KNOWN_MS = 600_000


@dataclass(frozen=True)
class FormChange:
    """A field of the form changed; ``at``: microseconds by Slack's clock."""

    person: Person
    view_id: str
    at: int
    form: DeployForm


def first_form(context: Context, asked: OpenFormReply, channel: str) -> DeployForm:
    form = DeployForm(apps=tuple(sorted(context.catalog.apps)), channel=channel)
    entry = context.catalog.apps.get(asked.app)
    if entry is None:
        return form
    form = replace(form, app=asked.app, strategy=entry.strategy)
    return refreshed(context, _filled(form, asked.filled) if asked.filled else form)


def _filled(form: DeployForm, typed: DeployCommand) -> DeployForm:
    more = [f"hold={format_duration(typed.hold_ms)}"] if typed.hold_ms is not None else []
    return replace(
        form,
        version=typed.version or "",
        strategy=typed.strategy or form.strategy,
        steps=",".join(str(share) for share in typed.steps or ()),
        reason=typed.reason,
        more=" ".join([*more, *(["sticky"] if typed.sticky else [])]),
    )


def refreshed(context: Context, form: DeployForm) -> DeployForm:
    """The form with versions and outline that match its fields."""
    entry = context.catalog.apps.get(form.app)
    if entry is None:
        return form
    return replace(
        form, known=known_versions(context, entry), preview=outline(entry, form), computed=False
    )


def redraw(context: Context, change: FormChange) -> None:
    """Draws the outline at once; with a version, the worker's plan follows.

    Two changes in quick succession may be drawn in parallel, even by two bots, and Slack keeps the
    one that arrives last. So each change stores a note before it draws, and draws again if it then
    finds a newer note: the last drawing always shows the newest change. Slack's view hash cannot
    order them, for both changes carry the same hash.
    """
    if refuse_reader(context, change.person) is not None:
        return
    key = f"form:{change.view_id}"
    note = json.dumps({"at": change.at, "form": dump_form(change.form)})
    if not context.store.put_newest(key, note, order=change.at, ttl_ms=FORM_KNOWN_MS):
        return
    while True:
        form = refreshed(context, load_form(json.loads(note)["form"]))
        drawn = context.messenger.update_view(change.view_id, "", context.render.form(form))
        newest = context.store.peek(key)
        if newest is None or newest == note:
            break
        note = newest
    if form.app and form.version:
        ask_for_preview(context, change.person, form, view_id=change.view_id, view_hash=drawn)
