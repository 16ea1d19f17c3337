"""The templates of a Deployment that releases saw healthy, and its revisions that were bad or left;
and which of its containers belong to other apps."""

from __future__ import annotations

from bot.operations.context import Context
from bot.releases.facts.observation import DeploymentSeen
from bot.releases.facts.target import Target
from bot.releases.planning.undo import KnownTemplate


def known_templates(context: Context, key: str, deployment: DeploymentSeen) -> list[KnownTemplate]:
    """``key``: see templates_key."""
    known = [KnownTemplate(t, "healthy", v, r) for t, v, r in context.store.last_healthy(key)]
    for replica_set in deployment.replica_sets:
        verdict, by, reason = context.store.verdict_on(key, replica_set.template)
        if verdict in ("bad", "left"):
            version = next(
                (k.version for k in known if k.template == replica_set.template),
                f"revision {replica_set.revision}",
            )
            known.append(KnownTemplate(replica_set.template, verdict, version, by, reason))
    return known


def templates_key(cluster_uid: str, namespace: str, deployment: str) -> str:
    """The store's key for the templates of a Deployment."""
    return f"{cluster_uid}/{namespace}/{deployment}"


def containers_of_others(context: Context, target: Target) -> frozenset[str]:
    """Containers of the same Deployment that other catalog entries name."""
    entries = (app.target for app in context.catalog.apps.values())
    return frozenset(
        one.container
        for one in entries
        if one.container is not None
        and one.container != target.container
        and (one.cluster, one.namespace) == (target.cluster, target.namespace)
        and one.deployment in (target.deployment, target.idle)
    )
