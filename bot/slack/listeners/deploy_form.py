"""The `/deploy` form filled from the record. The plan itself needs the cluster: a worker puts it there (bot.operations.preview_release)."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import Context
from bot.operations.invocation import DeployForm
from bot.operations.known_versions import known_versions
from bot.slack.blocks.outline import outline


def first_form(context: Context, app: str, channel: str) -> DeployForm:
    form = DeployForm(apps=tuple(sorted(context.catalog.apps)), channel=channel)
    entry = context.catalog.apps.get(app)
    return refreshed(context, replace(form, app=app, strategy=entry.strategy)) if entry is not None else form


def refreshed(context: Context, form: DeployForm) -> DeployForm:
    """The form after something in it was changed."""
    entry = context.catalog.apps.get(form.app)
    if entry is None:
        return form
    return replace(form, known=known_versions(context, entry), preview=outline(entry, form), computed=False)
