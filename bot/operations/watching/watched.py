"""Deployments without a catalog entry that the catalog has watched: whose they are, and how the
queue and the store name them."""

from __future__ import annotations

import re

from bot.operations.context import WATCHED_IN, App, Context
from bot.releases.facts.outside_change import OutsideChange
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target

_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,}")


def subject_of(app: App, deployment: str) -> str:
    """A rollout's name in the store and in the queue. Its part before the first slash says where
    (``Lanes.places``)."""
    target = app.target
    if app.only_watched:
        return f"{WATCHED_IN}{target.cluster}/{target.namespace}/{deployment}"
    return f"{target.typed}/{deployment}"


def app_of_subject(context: Context, subject: str, channel: str) -> App | None:
    """``channel``: of a Deployment without a catalog entry. None where the catalog no longer has it
    followed."""
    if not subject.startswith(WATCHED_IN):
        return context.catalog.apps.get(subject.partition("/")[0])
    cluster, namespace, deployment = subject.removeprefix(WATCHED_IN).split("/")
    return watched_app(context, cluster, namespace, deployment, channel)


def watched_app(
    context: Context, cluster: str, namespace: str, deployment: str, channel: str
) -> App | None:
    """None where the catalog does not have that namespace watched."""
    if not context.catalog.watch.covers(cluster, namespace):
        return None
    target = Target(
        app=f"{namespace}/{deployment}",
        cluster=cluster,
        namespace=namespace,
        deployment=deployment,
        container=None,
        among_clusters=len(context.catalog.clusters) > 1,
    )
    return App(target, Rules(), channel, Strategy.ROLLING, only_watched=True)


def channel_of(context: Context, past: OutsideChange) -> str:
    """Its label's, where that is the id of one; else the catalog's. "" where nobody hears of it."""
    watch = context.catalog.watch
    labelled = dict(past.labels).get(watch.channel_label, "") if watch.channel_label else ""
    return labelled if _CHANNEL.fullmatch(labelled) else watch.channel
