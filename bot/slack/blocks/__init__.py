"""Domain data as Block Kit. Pure: a function of its arguments, without clock, client or state.

Belongs here: what a person reads. Every text is escaped and within Slack's limits, every message
has a top-level text with the whole story, and nothing depends on colour or emoji alone. Does not
belong here: decisions.
"""
