"""What an observation means: questions about a cluster, each answered from one observation.

Belongs here: is this rollout complete, does this condition hold, has this pod failed, is this
field as intended, what does the card show. Does not belong here: what follows from the answer
(``planning`` before the start, ``engine`` after it). Nothing here changes a phase.
"""
