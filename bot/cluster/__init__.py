"""Kubernetes behind the Cluster port.

Belongs here: whatever speaks to an API server or knows how its JSON is laid out: connections, the
one snapshot an observation is, the patch an action becomes, kubectl's tables and explanations,
manifests, watches. Does not belong here: judging what was seen (bot.releases), deciding who may
(bot.policy), Slack or Redis. Answers are read as plain JSON: the client's generated models cost
twenty times as much as the request itself. Nothing here retries, so that every caller sees what
really happened; errors take their three shapes in bot.cluster.errors and nowhere else.
"""

from bot.cluster.adapter import KubernetesCluster, KubernetesClusters

__all__ = ["KubernetesCluster", "KubernetesClusters"]
