"""What someone asked to start, answered by a worker: a release, a question back, or a refusal.

Belongs here: the request that waits in the store, and the checks that need a cluster before it
gets an id. Does not belong here: parsing what was typed (``intake``), the dry run that a person
asks for (``queries``), and the first tick (``lifecycle``).
"""
