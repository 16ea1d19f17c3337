"""A Redis that refuses: the operator reads one line, and it is the right one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bot.commands.model import GetCommand
from bot.ports import StoreUnavailable
from bot.store import Leases, RedisReleaseStore
from bot.work_queue import RqWorkQueue
from config.logs import without_secrets
from tests.builders import a_query
from tests.fakes.refusing_redis import refusing_redis

REFUSALS = {
    "DENIED Redis is running in protected mode because protected mode is enabled": "protected mode",
    "NOPERM User worker has no permissions to run the 'eval' command": "denied a command",
    "NOAUTH Authentication required.": "rejected the credentials",
    "WRONGPASS invalid username-password pair or user is disabled.": "rejected the credentials",
    "LOADING Redis is loading the dataset in memory": "loading its data",
    "MISCONF Redis is configured to save RDB snapshots, but it's unable to": "refuses writes",
    "READONLY You can't write against a read only replica.": "read-only replica",
    "OOM command not allowed when used memory > 'maxmemory'.": "is full",
}
CALLS: dict[str, Callable[[Redis], object]] = {
    "load a release": lambda client: RedisReleaseStore(client).load("hello-1"),
    "list releases": lambda client: RedisReleaseStore(client).active(),
    "backlog": lambda client: Leases(client).backlog(),
    "wake": lambda client: Leases(client).wake("sweep", 0),
    "ask": lambda client: _queue(client).ask(a_query(GetCommand("pods", wide=True))),
    "enqueue": lambda client: _queue(client).enqueue_wake("sweep", "token"),
    "foremost": lambda client: _queue(client).foremost(["sweep"]),
    "lengths": lambda client: _queue(client).lengths(),
}


def _queue(client: Redis) -> RqWorkQueue:
    return RqWorkQueue(client, wake=Leases(client).wake)


@pytest.mark.parametrize(("error", "says"), REFUSALS.items(), ids=lambda text: text.split()[0])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_refusal_of_redis_is_one_line(
    error: str, says: str, call: Callable[[Redis], object]
) -> None:
    with refusing_redis(error) as port, pytest.raises(StoreUnavailable) as refused:
        call(Redis(port=port, retry=Retry(NoBackoff(), 0)))
    line = str(refused.value)
    assert says in line
    assert "\n" not in line
    assert without_secrets(line) == line, "the log shows it whole"
