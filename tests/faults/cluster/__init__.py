"""The Kubernetes adapter while the cluster misbehaves, on the simulated one, which can be
told to."""
