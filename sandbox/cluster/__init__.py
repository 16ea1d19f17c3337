"""The simulated cluster: a small HTTP server that speaks the part of the Kubernetes API that a
release needs.

`with SimulatedCluster(ready_after=0.3) as cluster:` runs one in a thread; `python -m
sandbox.cluster --port 0 --kubeconfig FILE` runs one as a process. State is in memory. Here belongs
what a real cluster does by itself (api_server, controllers, network) and the means to disturb it
(administration). The product never imports it, and nothing here knows the product: the simulation
is judged by the contract suite, which runs against a real control plane as well.
"""

from sandbox.cluster.controllers.images import ImageBehaviour
from sandbox.cluster.core import Cluster, ClusterSettings
from sandbox.cluster.simulation import SimulatedCluster, kubeconfig_text

__all__ = ["Cluster", "ClusterSettings", "ImageBehaviour", "SimulatedCluster", "kubeconfig_text"]
