"""Who is asking: roles of a person from the directory, cached or fresh, and strangers.

Belongs here: turning an identity into roles. Does not belong here: what a role may do, which
``bot.policy`` decides.
"""
