"""What an operator sets: the environment of each process and the catalog of apps.

Belongs here: reading and checking both, every mistake at once and in plain words, and the example
files. Does not belong here: what the values mean for a release (bot.releases) and who may do what
(bot.policy).
"""
