"""Use cases, one verb a file, written against the ports. The file has the function's name.

Belongs here: what happens, in which order, for one thing a person or the engine wants. Does not
belong here: Slack payloads, Kubernetes or Redis clients, rendering, and rules that the pure
packages own.
"""
