"""`dry-run`: what the release would do, computed as the worker would; nothing is stored and nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.operations.context import App, Context
from bot.operations.invocation import Planned, Refusal, Reply
from bot.releases.machine import decide
from bot.releases.model import Deploy, Person, Release, Strategy, usual_candidate
from bot.releases.pairs import facing


def plan_release(context: Context, app: App, query: Mapping[str, Any]) -> Reply:
    steps = tuple(query["steps"]) if query["steps"] else None
    strategy = Strategy(query["strategy"])
    change = Deploy(query["version"], strategy, steps, query["hold_ms"], query["sticky"])
    target = replace(app.target, cluster=query["cluster"])
    now = context.store.now()
    person = Person(query["person"]["team"], query["person"]["user"], query["person"]["name"])
    release = Release("dry-run", target, app.rules, change, person, app.channel, "", now, command=query["text"])
    cluster = context.clusters[target.cluster]
    seen = cluster.observe(target, candidate=usual_candidate(target, strategy), survey=True)
    faced = facing(target, seen)
    if faced != target:
        release = replace(release, target=faced)
        seen = cluster.observe(faced, candidate=usual_candidate(faced, strategy), survey=True)
    planned = decide(release, seen, now).release
    if planned.plan is None:
        return Refusal(planned.cause.summary if planned.cause else "no plan could be made")
    return Planned(planned, planned.plan)
