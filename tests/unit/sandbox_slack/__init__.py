"""The local Slack does what Slack does: limits, signatures, timers, budgets, both transports."""
