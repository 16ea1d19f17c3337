"""The Kubernetes adapter against a cluster that misbehaves on request (the simulated one)."""
