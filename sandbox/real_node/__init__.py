"""Real Kubernetes nodes on this machine: the real control plane with kubelet, kube-proxy,
containerd and runc, in namespaces of their own with no way out of the machine.

Here belong: building the programs from the Go modules in kube, runtime and app, starting and
ending a cluster of real nodes, the registry that its pods pull from, and the demo app. Not here:
anything that knows of releases; the tests use ``RealNodes`` as they would use any cluster.
"""

from sandbox.real_node.launcher import RealNodes
from sandbox.real_node.machine import MachineUnfit, check_machine

__all__ = ["MachineUnfit", "RealNodes", "check_machine"]
