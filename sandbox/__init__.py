"""Everything that makes Pilothouse run on one machine without Slack, Redis or Kubernetes: a local
Slack, an embedded Redis-compatible server, a simulated cluster, the real control plane and real
nodes.

The product never imports this package, and cannot tell whether it talks to the sandbox or to the
real thing. Nothing that a release needs in production belongs here.
"""
