"""Do the Services, and the Deployment itself, still select the pods of a new template?"""

from __future__ import annotations

from bot.releases.assess.selectors import labels_of
from bot.releases.planning.draft import Draft
from bot.releases.planning.refusals import PlanRefused


def stays_selected(draft: Draft, labels: dict[str, str], name: str) -> None:
    """Every Service that selects stable's pods now must select pods with these labels too.

    ``name``: the Deployment whose pods they are. Where a Service selects by a label that changes,
    pods of the new version would get no traffic, and a roll would empty the Service. Raises
    PlanRefused.
    """
    now = labels_of(draft.stable.template)
    for service in draft.seen.services:
        if service.name not in draft.release.target.services or not service.selector:
            continue
        missed = {key: value for key, value in service.selector.items() if labels.get(key) != value}
        if missed and all(now.get(key) == value for key, value in service.selector.items()):
            key, value = min(missed.items())
            has = f"{key}={labels[key]}" if key in labels else f"no label {key}"
            raise PlanRefused(
                f"Service {service.name} selects {key}={value}, but the new pods of {name} have"
                f" {has} and would get no traffic. Deploy it bluegreen, or remove that key from the"
                " Service's selector."
            )


def keeps_own_selector(draft: Draft) -> None:
    """A Deployment's own selector never changes, so the API server refuses a template whose labels
    it does not match. Raises PlanRefused."""
    labels = labels_of(draft.template)
    fixed = draft.stable.selector.get("matchLabels") or {}
    wrong = sorted(key for key, value in fixed.items() if labels.get(key) != value)
    if wrong:
        raise PlanRefused(
            f"{draft.stable.name} cannot be rolled to {draft.version}: the label {wrong[0]} is in"
            " its own selector, which cannot change. Deploy it bluegreen with `settle: keep`."
        )
