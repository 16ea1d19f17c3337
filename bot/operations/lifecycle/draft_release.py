"""A release before it has an id, with what its first tick would observe."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.operations.context import App, Context
from bot.operations.lifecycle.find_stale_claims import find_stale_claims
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.facts.changes import Change
from bot.releases.facts.observation import Observation
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Target, default_candidate_name

USED_WITHIN_S = 3.0
"""Half of a tick's budget: a tick too writes by an observation that may be some seconds old."""


@dataclass(frozen=True)
class Draft:
    """The first tick may plan by ``seen``, while it is fresh and for the same request; what the
    release may write must be unchanged then. ``asked``: the catalog's target, before it was turned
    to the Deployment that serves. ``observed_at``: by Runtime.monotonic(), before its reads."""

    release: Release
    seen: Observation
    asked: Target
    observed_at: float

    @property
    def candidate(self) -> str:
        return _candidate(self.release)

    def fits(self, release: Release, now_s: float) -> bool:
        if release.phase is not Phase.QUEUED or now_s - self.observed_at > USED_WITHIN_S:
            return False
        mine = self.release
        return (release.target, release.rules, release.change, release.requested_by) == (
            self.asked,
            mine.rules,
            mine.change,
            mine.requested_by,
        )


def draft_release(context: Context, app: App, change: Change, *, by: Person, text: str) -> Draft:
    """Raises ClusterUnreachable, Refused."""
    now, began = context.store.now(), context.runtime.monotonic()
    release = Release(
        "dry-run", app.target, app.rules, change, by, app.channel, "", now, command=text
    )
    cluster = context.cluster(app.target.cluster)
    seen = cluster.observe(app.target, candidate=_candidate(release), survey=True)
    serving = retarget_to_serving(app.target, seen)
    if serving != app.target:
        release, began = replace(release, target=serving), context.runtime.monotonic()
        seen = cluster.observe(serving, candidate=_candidate(release), survey=True)
    return Draft(find_stale_claims(context, release, seen), seen, app.target, began)


def _candidate(release: Release) -> str:
    return default_candidate_name(release.target, release.strategy)
