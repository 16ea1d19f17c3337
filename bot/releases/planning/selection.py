"""Do Services and the Deployment itself still select the pods of a new template?"""

from __future__ import annotations

from bot.releases.planning.draft import Draft
from bot.releases.planning.refusals import PlanRefused


def stays_selected(draft: Draft, labels: dict[str, str], name: str) -> None:
    """Every Service that selects stable's pods now must select pods of these labels too. Raises
    PlanRefused.

    ``name``: the Deployment whose pods they are. Where the label that changes is in a Service's
    selector, pods of the new version would get no traffic, and a roll would empty the Service.
    """
    now = draft.stable.template.get("metadata", {}).get("labels") or {}
    for service in draft.seen.services:
        if service.name not in draft.release.target.services or not service.selector:
            continue
        missed = {key: value for key, value in service.selector.items() if labels.get(key) != value}
        if missed and all(now.get(key) == value for key, value in service.selector.items()):
            key, value = min(missed.items())
            has = f"{key}={labels[key]}" if key in labels else f"no label {key}"
            raise PlanRefused(
                f"Service {service.name} selects {key}={value}, but the new pods of {name} have"
                f" {has}: they would get no traffic; deploy it bluegreen, or take that key out of"
                " the Service's selector"
            )


def keeps_own_selector(draft: Draft) -> None:
    """A Deployment's own selector never changes, so a template whose labels leave it is refused by
    the API server: said before."""
    labels = draft.template.get("metadata", {}).get("labels") or {}
    fixed = draft.stable.selector.get("matchLabels") or {}
    wrong = sorted(key for key, value in fixed.items() if labels.get(key) != value)
    if wrong:
        raise PlanRefused(
            f"{draft.stable.name} cannot be rolled to {draft.version}: the label {wrong[0]} is in"
            " its own selector, which is fixed; deploy it bluegreen with `settle: keep`"
        )
