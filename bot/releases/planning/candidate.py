"""What holds for a candidate Deployment of any strategy."""

from __future__ import annotations

from bot.releases.planning.draft import Draft
from bot.releases.planning.refusals import PlanRefused


def refuse_second_copy(draft: Draft, both: str) -> None:
    """What cannot run twice side by side; ``both`` names the two ("stable and canary"). Raises
    PlanRefused."""
    stable, survey = draft.stable, draft.seen.survey
    if stable.strategy.get("type") == "Recreate":
        raise PlanRefused(
            f"{stable.name} has the strategy Recreate: its pods must not run twice; deploy it"
            " rolling"
        )
    if stable.replicas < 1:
        raise PlanRefused(f"{stable.name} has 0 replicas: scale it up first, or deploy it rolling")
    for claim, modes in survey.claims if survey else ():
        once = [mode for mode in modes if mode in ("ReadWriteOnce", "ReadWriteOncePod")]
        if once:
            raise PlanRefused(
                f"{stable.name} mounts the claim {claim} ({once[0]}), which {both} cannot share:"
                " deploy it rolling"
            )
    spec = stable.template.get("spec") or {}
    ports = [
        p["hostPort"]
        for c in spec.get("containers") or ()
        for p in c.get("ports") or ()
        if p.get("hostPort")
    ]
    if ports:
        raise PlanRefused(
            f"{stable.name} uses the host port {ports[0]}, which {both} cannot share: deploy it"
            " rolling"
        )
