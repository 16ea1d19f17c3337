"""The launcher of the real control plane itself. What Kubernetes does with our objects belongs in
tests/contracts."""
