"""`/deploy` of an app with several clusters: all of them, or those that ``in=`` names, in the waves
of the catalog."""

from __future__ import annotations

from bot.commands.model import DeployCommand
from bot.operations.context import Context
from bot.operations.lifecycle.start_fleet import fleet_draft, start_fleet
from bot.operations.queries.plan_release import deployment_of
from bot.operations.replies import DocumentReply, Refusal, Reply
from bot.operations.requests import Invocation
from bot.releases.fleet.plan import order, way_back
from bot.releases.fleet.state import fleet_of


def deploy_to_fleet(context: Context, invocation: Invocation, command: DeployCommand) -> Reply:
    """Never contacts a cluster: each part is checked and planned as it begins."""
    waves, apps = context.catalog.fleet(command.app or "", command.clusters)
    if not apps:
        return Refusal(f"The catalog no longer has the app `{command.app}`.")
    change = deployment_of(apps[0], command)[1]
    by, channel, reason = invocation.person, invocation.channel, command.reason
    if not command.dry_run:
        return start_fleet(
            context,
            waves,
            apps,
            change,
            by=by,
            channel=channel,
            reason=reason,
            command=invocation.text,
            dedup_key=invocation.dedup_key,
        )
    draft = fleet_draft(context, waves, apps, change, by=by, channel=channel, reason=reason)
    fleet = fleet_of(draft)
    lines = [*order(fleet), way_back(fleet), "Each part is planned as it begins."]
    title = f"Plan: {draft.target.label} → {draft.to_version} {change.strategy.value}"
    return DocumentReply(title, "\n".join(lines))
