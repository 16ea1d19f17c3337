"""Redis behind the ReleaseStore port, and the leases by which one release never runs twice at once.

Belongs here: the records and their schema, the Lua scripts (each a whole change or none), locks,
audit, outbox, the due and leased sets, budgets, and what the server must be set to. Does not belong
here: what a record means (bot.releases), RQ (bot.work_queue, jobs).

All keys begin with one prefix and the scripts name keys that are not declared to the server: a
single Redis or Valkey (with replicas, if wished) is needed, not a Redis Cluster.
"""

from bot.store.connection import connect
from bot.store.leases import Claim, Leases
from bot.store.releases import RedisReleaseStore, Retention
from bot.store.shelf import RedisShelf

__all__ = ["Claim", "Leases", "RedisReleaseStore", "RedisShelf", "Retention", "connect"]
