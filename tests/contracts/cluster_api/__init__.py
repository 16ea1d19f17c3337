"""The contract of the Kubernetes API as releases rely on it, judged on the simulated cluster and on
a real control plane.

Belongs here: what holds on both. What only the simulation has (faults, logs, HTTP) is tested in
tests/unit/sandbox_cluster.
"""
