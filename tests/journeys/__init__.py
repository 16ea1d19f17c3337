"""From a signed Slack payload through the real bot, Redis and RQ workers to a cluster and back:
what a person would see."""
