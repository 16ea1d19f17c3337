"""Who is asking: roles of a person from the directory, cached or fresh, and the question to the one
decision whether they may.

Belongs here: turning an identity into roles, and a denial into what the person reads. Does not
belong here: what a role may do, which ``bot.policy`` decides.
"""
