"""What a release would do according to the catalog and the form so far: for a form that is still
being filled in."""

from __future__ import annotations

from bot.commands.deploy_form import DeployForm
from bot.operations.context import App
from bot.releases.facts.ages import duration
from bot.releases.facts.counts import counted
from bot.releases.facts.target import Strategy


def outline(app: App, form: DeployForm) -> tuple[str, ...]:
    """One numbered line for each step, without contacting the cluster."""
    rules = app.rules
    lines = (
        [f"Wait for {counted(rules.approvals.start, 'approval')} to start"]
        if rules.approvals.start
        else []
    )
    approval = (
        [f"Wait for {counted(rules.approvals.promote, 'approval')}"]
        if rules.approvals.promote
        else []
    )
    match form.strategy:
        case Strategy.ROLLING:
            lines.append(
                "Roll pod by pod; roll back on failure"
                if rules.on_failure == "rollback"
                else "Roll pod by pod"
            )
        case Strategy.CANARY:
            hold = duration(rules.canary.hold_ms)
            typed = [
                part.strip().removesuffix("%") for part in form.steps.split(",") if part.strip()
            ]
            shares = typed or [str(share) for share in rules.canary.steps]
            lines += [
                f"Send {share}% of traffic, hold for {hold}" for share in shares if share != "100"
            ]
            lines += approval if rules.canary.promote == "approval" else []
            lines.append("Promote: roll all pods")
        case Strategy.BLUEGREEN:
            lines += [
                "Start all new pods beside the old ones",
                *(approval if rules.bluegreen.promote == "approval" else []),
            ]
            lines.append(
                "Switch the traffic; keep the rollback window open for"
                f" {duration(rules.bluegreen.rollback_window_ms)}"
            )
    return tuple(f"{number}. {line}" for number, line in enumerate(lines, 1))
