"""The real Kubernetes control plane on this machine: kube-apiserver, controllers, scheduler and
etcd, with KWOK in place of kubelets.

Here belong: building the binaries from the Go modules that go.mod and go.sum pin, starting and
ending the processes, credentials, and what the simulated nodes do with a pod (stages.yaml). Not
here: anything that knows of releases; the sandbox and the tests use
``ControlPlane`` as they would use any cluster, through its kubeconfig.
"""

from sandbox.control_plane.binaries import BinariesMissing, built_binaries
from sandbox.control_plane.launcher import ControlPlane, ControlPlaneFailed

__all__ = ["BinariesMissing", "ControlPlane", "ControlPlaneFailed", "built_binaries"]
