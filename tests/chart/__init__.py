"""The helm chart: what it renders, whether Kubernetes accepts it, and whether its permissions are
what the bot needs, no more."""
