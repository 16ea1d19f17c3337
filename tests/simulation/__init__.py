"""The whole product in one process, by a seed: commands, operations, engine, delivery, ticker,
leases and watcher run over their ports under a virtual clock, and every interleaving and every
fault is drawn from the seed.

Belongs here: the scheduler, the simulated outside (Redis, clusters, Slack, people, other writers),
the judge that reads what went through the ports, and the command that runs seeds. Not: rules of
the product; the judge knows promises, and no code that keeps them.
"""
