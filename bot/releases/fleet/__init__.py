"""What happens next to a fleet release: which parts begin, what they are told, when people are
asked. Pure: a function of the record, of what was observed of the parts, and of the time.

Belongs here: the order of waves, forward and back. Does not belong here: anything about one
cluster's release, which the engine decides.
"""
