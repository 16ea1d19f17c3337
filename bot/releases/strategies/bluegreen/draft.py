"""What a blue/green plan is made from: the candidate, the selectors before and after, the trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.releases.facts.observation import AutoscalerSeen, ServiceSeen
from bot.releases.facts.plan import Probe
from bot.releases.planning.draft import Draft
from bot.releases.planning.probing import probe_for
from bot.releases.strategies.bluegreen.candidate import Candidate, candidate_for
from bot.releases.strategies.bluegreen.refusals import (
    refuse_capture,
    refuse_foreign_autoscaler,
    refuse_quota,
    refuse_roll_afterwards,
    switchable_services,
)
from bot.releases.strategies.bluegreen.selector_keys import candidate_selector, final_selector
from bot.releases.strategies.bluegreen.trial import preview_for


@dataclass(frozen=True)
class BlueGreenDraft:
    """A draft with what blue/green adds to it."""

    draft: Draft
    services: tuple[ServiceSeen, ...]
    candidate: Candidate
    targets: tuple[dict[str, str], ...]  # the Services' selectors while the candidate serves
    finals: tuple[dict[str, str], ...]  # their selectors at the end; () where both Deployments stay
    keeps: bool  # afterwards the candidate serves and both Deployments stay
    preview: str  # name of the preview Service; "" without one
    preview_body: Any
    probe: Probe | None
    scaler: AutoscalerSeen | None  # of stable

    @property
    def service_names(self) -> str:
        return " and ".join(service.name for service in self.services)

    @property
    def is_swapped(self) -> bool:
        """An earlier release kept both: the catalog's Deployment is now the idle one."""
        return bool(self.draft.release.target.idle)


def draft_blue_green(draft: Draft) -> BlueGreenDraft:
    """Raises PlanRefused for whatever blue/green cannot be started on."""
    stable, survey, rules = draft.stable, draft.seen.survey, draft.release.rules.bluegreen
    services = switchable_services(draft)
    keeps = bool(draft.release.target.idle) or rules.settle == "keep"
    candidate = candidate_for(draft, services, keeps=keeps)
    targets = tuple(
        candidate_selector(service, candidate.labels, candidate.name) for service in services
    )
    finals = () if keeps else tuple(final_selector(s, draft.template) for s in services)
    if not keeps:
        refuse_roll_afterwards(draft)
    refuse_capture(draft, candidate)
    preview, body = preview_for(draft, services[0], targets[0]) if rules.preview else ("", None)
    refuse_quota(draft, candidate, preview, keeps=keeps)
    refuse_foreign_autoscaler(draft, candidate)
    scalers = survey.autoscalers if survey else ()
    return BlueGreenDraft(
        draft,
        services,
        candidate,
        targets,
        finals,
        keeps,
        preview,
        body,
        probe_for(draft, services[0]),
        next((scaler for scaler in scalers if scaler.target == stable.name), None),
    )
