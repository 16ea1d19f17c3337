"""`dry-run`: what the release would do, computed as the worker would. Nothing is stored and nothing
is changed."""

from __future__ import annotations

from dataclasses import replace

from bot.commands.model import DeployCommand
from bot.operations.context import App, Context
from bot.operations.lifecycle.find_stale_claims import find_stale_claims
from bot.operations.replies import PlanReply, Refusal, Reply
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.engine.decide import decide
from bot.releases.facts.changes import Deploy
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.releases.facts.target import default_candidate_name


def plan_release(
    context: Context, app: App, command: DeployCommand, *, by: Person, text: str
) -> Reply:
    """Raises ClusterUnreachable, Refused, PlanRefused."""
    app, change = deployment_of(app, command)
    target = app.target
    now = context.store.now()
    release = Release("dry-run", target, app.rules, change, by, app.channel, "", now, command=text)
    cluster = context.cluster(target.cluster)
    candidate = default_candidate_name(target, change.strategy)
    seen = cluster.observe(target, candidate=candidate, survey=True)
    serving = retarget_to_serving(target, seen)
    if serving != target:
        release = replace(release, target=serving)
        candidate = default_candidate_name(serving, change.strategy)
        seen = cluster.observe(serving, candidate=candidate, survey=True)
    planned = decide(find_stale_claims(context, release, seen), seen, now).release
    if planned.plan is None:
        return Refusal(planned.cause.summary if planned.cause else "No plan could be made.")
    return PlanReply(planned, planned.plan)


def deployment_of(app: App, command: DeployCommand) -> tuple[App, Deploy]:
    """The app, and the change that the command requests. ``command`` names a version."""
    strategy = command.strategy or app.strategy
    change = Deploy(command.version or "", strategy, command.steps, command.hold_ms, command.sticky)
    return app, change
