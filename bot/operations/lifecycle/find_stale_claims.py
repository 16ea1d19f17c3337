"""Claims of releases that are over: kubectl's undo brings one back, and a canary or an
autoscaler may be left with one."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import Context
from bot.ports import UnknownSchema
from bot.releases.assess.pairs import beside
from bot.releases.facts.observation import AutoscalerSeen, DeploymentSeen, Observation
from bot.releases.facts.release import Release
from bot.releases.facts.target import default_candidate_name


def find_stale_claims(context: Context, release: Release, seen: Observation) -> Release:
    """Only what the record knows to be over: another installation's claim is never among them."""
    candidate = beside(seen, default_candidate_name(release.target, release.strategy))
    return replace(
        release,
        stale_claim=_stale_claim(context, release, seen, seen.stable),
        stale_candidate_claim=_stale_claim(context, release, seen, candidate),
        stale_autoscaler_claim=_stale_claim(context, release, seen, _autoscaler(release, seen)),
    )


def _autoscaler(release: Release, seen: Observation) -> AutoscalerSeen | None:
    scalers = seen.survey.autoscalers if seen.survey else ()
    name = release.target.deployment
    return next((scaler for scaler in scalers if scaler.target == name), None)


def _stale_claim(
    context: Context,
    release: Release,
    seen: Observation,
    item: DeploymentSeen | AutoscalerSeen | None,
) -> str:
    """The controller copies annotations to ReplicaSets, so kubectl's undo brings back the claim of
    a release that ended long ago."""
    claim = item.claim if item is not None else ""
    if claim in ("", release.id):
        return ""
    try:
        before = context.store.load(claim)
    except (KeyError, UnknownSchema):
        return ""
    same_place = (
        before.as_found is not None
        and before.as_found.cluster_uid == seen.cluster_uid
        and before.target.namespace == release.target.namespace
    )
    return claim if before.phase.is_final and same_place else ""
