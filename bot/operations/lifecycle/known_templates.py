"""The templates of a Deployment that releases saw healthy, and its revisions that were bad."""

from __future__ import annotations

from bot.operations.context import Context
from bot.releases.facts.observation import DeploymentSeen
from bot.releases.planning.undo import KnownTemplate


def known_templates(context: Context, key: str, deployment: DeploymentSeen) -> list[KnownTemplate]:
    """``key``: see templates_key."""
    known = [KnownTemplate(t, "healthy", v, r) for t, v, r in context.store.last_healthy(key)]
    for replica_set in deployment.replica_sets:
        verdict, by, reason = context.store.verdict_on(key, replica_set.template)
        if verdict == "bad":
            version = next(
                (k.version for k in known if k.template == replica_set.template),
                f"revision {replica_set.revision}",
            )
            known.append(KnownTemplate(replica_set.template, "bad", version, by, reason))
    return known


def templates_key(cluster_uid: str, namespace: str, deployment: str) -> str:
    """The store's key for the templates of a Deployment."""
    return f"{cluster_uid}/{namespace}/{deployment}"
