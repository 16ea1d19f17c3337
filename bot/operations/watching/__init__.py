"""What rolls without a release: followed for the channel of its app.

Belongs here: what the watcher reported, its message until it is over. Does not belong here: a
release's own card (``delivery``), and what a person asks about a rollout (``queries``).
"""
