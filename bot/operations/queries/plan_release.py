"""`dry-run`: what the release would do, computed as the worker would. Nothing is stored and nothing
is changed."""

from __future__ import annotations

from bot.commands.model import DeployCommand
from bot.operations.context import App, Context
from bot.operations.lifecycle.check_start import busy_with
from bot.operations.lifecycle.draft_release import draft_release
from bot.operations.lifecycle.meet_freeze import with_coming_freeze
from bot.operations.replies import PlanReply, Refusal, Reply
from bot.policy.strategies import refusal_of_strategy
from bot.releases.engine.decide import decide
from bot.releases.facts.changes import Deploy
from bot.releases.facts.people import Person


def plan_release(
    context: Context, app: App, command: DeployCommand, *, by: Person, text: str
) -> Reply:
    """Raises ClusterUnreachable, Refused, PlanRefused."""
    app, change = deployment_of(app, command)
    if change.strategy not in (*app.rules.strategies, *app.rules.emergency):
        return Refusal(refusal_of_strategy(app.target, app.rules, change), field="strategy")
    front = busy_with(context, app.target)
    if front is not None:  # what it leaves is not known yet
        return Refusal(
            f"{front.id} is running. This release would wait for it, and is planned as it starts."
        )
    draft = draft_release(context, app, change, by=by, text=text)
    release = with_coming_freeze(context, draft.release)
    planned = decide(release, draft.seen, context.store.now()).release
    if planned.plan is None:
        return Refusal(planned.cause.summary if planned.cause else "No plan could be made.")
    return PlanReply(planned, planned.plan)


def deployment_of(app: App, command: DeployCommand) -> tuple[App, Deploy]:
    """The app, and the change that the command requests. ``command`` names a version."""
    strategy = command.strategy or app.strategy
    change = Deploy(command.version or "", strategy, command.steps, command.hold_ms, command.sticky)
    return app, change
