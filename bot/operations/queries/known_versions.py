"""The versions of an app that are worth offering: those that releases deployed or found, and those
that apps of the same image run."""

from __future__ import annotations

from bot.commands.deploy_form import KnownVersion
from bot.operations.context import App, Context
from bot.ports import StoreUnavailable
from bot.releases.facts.images import normal_repository, split_image
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Target

HISTORY = 20


def known_versions(context: Context, app: App) -> tuple[KnownVersion, ...]:
    """Versions that releases deployed or found, newest first, then those that apps of the same
    image run; none while Redis is unreachable."""
    try:
        history = _recent(context, app.target, HISTORY)
        others = [
            (other, _recent(context, other.target, 1))
            for other in context.catalog.apps.values()
            if other.target != app.target
        ]
    except StoreUnavailable:
        return ()
    here = _repositories(app, history)
    elsewhere = [
        KnownVersion(version, other.target.label)
        for other, releases in others
        if not here.isdisjoint(_repositories(other, releases))
        for release in releases
        for version in _seen_in(release)[:1]
    ]
    known = {version: KnownVersion(version) for release in history for version in _seen_in(release)}
    for one in elsewhere:
        known.setdefault(one.version, one)
    return tuple(one for one in known.values() if one.version)


def _recent(context: Context, target: Target, limit: int) -> tuple[Release, ...]:
    return context.store.recent(target.app, target.cluster, limit=limit)


def version_last_observed(context: Context, target: Target) -> str:
    """The version of most of the app's pods when a release last observed them; "" where no release
    did, or while Redis is unreachable."""
    try:
        last = next(iter(_recent(context, target, 1)), None)
    except StoreUnavailable:
        return ""
    versions = last.card_snapshot.versions if last is not None else ()
    return max(versions, key=lambda one: one.pods).version if versions else ""


def _seen_in(release: Release) -> list[str]:
    if release.plan is None:
        return []
    return [
        *([release.plan.version] if release.phase is Phase.SUCCEEDED else []),
        release.plan.from_version,
    ]


def _repositories(app: App, releases: tuple[Release, ...]) -> set[str]:
    """The repositories that the catalog allows, else those of past releases."""
    released = [
        split_image(release.plan.image).repository
        for release in releases
        if release.plan is not None
    ]
    return {normal_repository(repository) for repository in app.target.images or released}
