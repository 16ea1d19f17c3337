"""`dry-run`: what the release would do, computed as the worker would; nothing is stored and nothing
is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.operations.context import App, Context
from bot.operations.replies import PlanReply, Refusal, Reply
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.engine.decide import decide
from bot.releases.facts.changes import Deploy
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.releases.facts.target import Strategy, default_candidate_name


def plan_release(context: Context, app: App, query: Mapping[str, Any]) -> Reply:
    steps = tuple(query["steps"]) if query["steps"] else None
    strategy = Strategy(query["strategy"])
    change = Deploy(query["version"], strategy, steps, query["hold_ms"], query["sticky"])
    target = replace(app.target, cluster=query["cluster"])
    now = context.store.now()
    person = Person(query["person"]["team"], query["person"]["user"], query["person"]["name"])
    release = Release(
        "dry-run", target, app.rules, change, person, app.channel, "", now, command=query["text"]
    )
    cluster = context.clusters[target.cluster]
    seen = cluster.observe(target, candidate=default_candidate_name(target, strategy), survey=True)
    faced = retarget_to_serving(target, seen)
    if faced != target:
        release = replace(release, target=faced)
        seen = cluster.observe(
            faced, candidate=default_candidate_name(faced, strategy), survey=True
        )
    planned = decide(release, seen, now).release
    if planned.plan is None:
        return Refusal(planned.cause.summary if planned.cause else "no plan could be made")
    return PlanReply(planned, planned.plan)
