"""What only the simulated cluster has: image behaviours, logs, HTTP of the demo apps, faults,
history.

Belongs here: what cannot be judged on the real control plane, which has no kubelet. The rest is in
tests/contracts/cluster_api.
"""
