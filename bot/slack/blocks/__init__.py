"""Domain data as Block Kit. Pure: a function of its arguments, no clock, no client, no state.

Belongs here: what a person sees. Every text is escaped and within Slack's limits, every message has
a top-level text that tells the whole story, and nothing is told by colour or emoji alone. Does not
belong here: deciding anything.
"""
