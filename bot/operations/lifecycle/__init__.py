"""The life of a release, from its record to its end: start, prepare, advance, control, sweep.

Belongs here: whatever creates a release, moves it by one decision, or finds one that was
forgotten. Does not belong here: what it looks like in Slack (``delivery``), and what happens
next (``bot.releases.engine`` decides; this room only carries it out).
"""
