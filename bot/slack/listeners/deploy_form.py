"""The `/deploy` form filled from the record: known versions of an app, and in outline what a release of it would do.

The plan itself needs the cluster: a worker computes it and puts it into the form (bot.operations.preview_release).
"""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import App, Context
from bot.operations.invocation import DeployForm, KnownVersion
from bot.ports import StoreUnavailable
from bot.releases.images import normal_repository, split_image
from bot.releases.model import Phase, Release, Strategy
from bot.slack.blocks.modal import OPTIONS
from bot.slack.markup import duration

HISTORY = 20
MAX_VERSION = 75  # what an option of a select holds


def first_form(context: Context, app: str, channel: str) -> DeployForm:
    form = DeployForm(apps=tuple(sorted(context.catalog.apps)), channel=channel)
    entry = context.catalog.apps.get(app)
    return refreshed(context, replace(form, app=app, strategy=entry.strategy)) if entry is not None else form


def refreshed(context: Context, form: DeployForm) -> DeployForm:
    """The form after something in it was changed."""
    entry = context.catalog.apps.get(form.app)
    if entry is None:
        return form
    return replace(form, known=versions_of(context, entry), preview=outline(entry, form), computed=False)


def versions_of(context: Context, app: App) -> tuple[KnownVersion, ...]:
    """Versions that releases brought here or found, newest first, then what apps of the same image run; none while Redis is away."""
    try:
        history = context.store.recent(app.target.app, limit=HISTORY)
        others = {other: context.store.recent(other, limit=1) for other in context.catalog.apps if other != app.target.app}
    except StoreUnavailable:
        return ()
    here = _repositories(app, history)
    elsewhere = [
        KnownVersion(version, other)
        for other, releases in others.items()
        if not here.isdisjoint(_repositories(context.catalog.apps[other], releases))
        for release in releases
        for version in _seen_in(release)[:1]
    ]
    known = {version: KnownVersion(version) for release in history for version in _seen_in(release)}
    for one in elsewhere:
        known.setdefault(one.version, one)
    return tuple(one for one in known.values() if 0 < len(one.version) <= MAX_VERSION)[:OPTIONS]


def _seen_in(release: Release) -> list[str]:
    if release.plan is None:
        return []
    return [*([release.plan.version] if release.phase is Phase.SUCCEEDED else []), release.plan.from_version]


def _repositories(app: App, releases: tuple[Release, ...]) -> set[str]:
    """Those that the catalog allows, else those that were released."""
    released = [split_image(release.plan.image).repository for release in releases if release.plan is not None]
    return {normal_repository(repository) for repository in (app.target.images or released)}


def outline(app: App, form: DeployForm) -> tuple[str, ...]:
    """The shape of the release by the catalog and what was typed."""
    rules = app.rules
    lines = [f"Wait for {_approvals(rules.approvals.start)} to start"] if rules.approvals.start else []
    approval = [f"Wait for {_approvals(rules.approvals.promote)}"] if rules.approvals.promote else []
    match form.strategy:
        case Strategy.ROLLING:
            lines.append("Roll pod by pod; taken back by itself when it fails" if rules.on_failure == "rollback" else "Roll pod by pod")
        case Strategy.CANARY:
            hold = duration(rules.canary.hold_ms)
            typed = [part.strip().removesuffix("%") for part in form.steps.split(",") if part.strip()]
            shares = typed or [str(share) for share in rules.canary.steps]
            lines += [f"Give {share} % of the traffic, hold {hold}" for share in shares if share != "100"]
            lines += approval if rules.canary.promote == "approval" else []
            lines.append("Promote: roll all pods")
        case Strategy.BLUEGREEN:
            lines += ["Start all new pods beside the old ones", *(approval if rules.bluegreen.promote == "approval" else [])]
            lines.append(f"Switch the traffic; the way back stays open for {duration(rules.bluegreen.rollback_window_ms)}")
    return tuple(f"{number}. {line}" for number, line in enumerate(lines, 1))


def _approvals(count: int) -> str:
    return f"{count} approval{'s' if count > 1 else ''}"
