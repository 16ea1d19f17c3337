"""The nouns of a release: frozen data, and arithmetic that needs nothing but its arguments.

Belongs here: the record, the plan, an observation, actions, events, requests, and how a number,
an age or an image is read. Does not belong here: a judgement about a cluster (``assess``), a
rule about what may be planned (``planning``), or a change of phase (``engine``).
"""
