"""The `/deploy` form filled from the record: known versions of an app, and what a release of it would do."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.ports import StoreUnavailable
from bot.releases.counts import counted
from bot.releases.model import Phase, Strategy
from bot.slack.blocks.modal import DeployForm, with_app
from bot.slack.markup import duration

HISTORY = 20


def first_form(context: Context, app: str, channel: str) -> DeployForm:
    form = DeployForm(apps=tuple(sorted(context.catalog.apps)), channel=channel)
    entry = context.catalog.apps.get(app)
    if entry is None:
        return form
    return with_app(
        DeployForm(form.apps, strategy=entry.strategy, channel=channel), app, versions_of(context, app), preview(entry, entry.strategy)
    )


def refreshed(context: Context, form: DeployForm) -> DeployForm:
    """The form after something in it was changed."""
    entry = context.catalog.apps.get(form.app)
    return with_app(form, form.app, versions_of(context, form.app), preview(entry, form.strategy)) if entry else form


def versions_of(context: Context, app: str) -> tuple[str, ...]:
    """Versions that releases brought here or found, newest first; none while Redis is away."""
    try:
        releases = context.store.recent(app, limit=HISTORY)
    except StoreUnavailable:
        return ()
    found: list[str] = []
    for release in releases:
        if release.plan is None:
            continue
        found += [release.plan.version] if release.phase is Phase.SUCCEEDED else []
        found.append(release.plan.from_version)
    return tuple(dict.fromkeys(found))


def preview(app: App, strategy: Strategy) -> tuple[str, ...]:
    """The shape of the release by the catalog; `dry-run` computes it against the cluster."""
    rules = app.rules
    lines = [f"Wait for {counted(rules.approvals.start, 'approval')} to start"] if rules.approvals.start else []
    approval = [f"Wait for {counted(rules.approvals.promote, 'approval')}"] if rules.approvals.promote else []
    match strategy:
        case Strategy.ROLLING:
            lines.append("Roll pod by pod; taken back by itself when it fails" if rules.on_failure == "rollback" else "Roll pod by pod")
        case Strategy.CANARY:
            hold = duration(rules.canary.hold_ms)
            lines += [f"Give {share} % of the traffic, hold {hold}" for share in rules.canary.steps]
            lines += approval if rules.canary.promote == "approval" else []
            lines.append("Promote: roll all pods")
        case Strategy.BLUEGREEN:
            lines += ["Start all new pods beside the old ones", *(approval if rules.bluegreen.promote == "approval" else [])]
            lines.append(f"Switch the traffic; the way back stays open for {duration(rules.bluegreen.rollback_window_ms)}")
    return tuple(f"{number}. {line}" for number, line in enumerate(lines, 1))
