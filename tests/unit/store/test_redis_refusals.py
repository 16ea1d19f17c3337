"""A Redis that refuses: the operator reads one line, and it is the right one."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bot.commands.model import GetCommand
from bot.ports import StoreUnavailable
from bot.store import Leases, RedisReleaseStore
from bot.work_queue import RqWorkQueue
from tests.builders import a_query


class _Refusing(socketserver.StreamRequestHandler):
    """Reads commands of the Redis protocol and answers each with the server's one error."""

    def handle(self) -> None:
        while (head := self.rfile.readline()).startswith(b"*"):
            words = [self._word() for _ in range(int(head[1:]))]
            setting_up = words[0].upper() in (b"CLIENT", b"HELLO")
            self.wfile.write(b"+OK\r\n" if setting_up else self.server.answer)  # type: ignore[attr-defined]

    def _word(self) -> bytes:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2]


@contextmanager
def a_redis_that_answers(error: str) -> Iterator[Redis]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as server:
        server.daemon_threads = True
        server.answer = f"-{error}\r\n".encode()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        client = Redis(port=server.server_address[1], protocol=2, retry=Retry(NoBackoff(), 0))
        try:
            yield client
        finally:
            client.close()
            server.shutdown()


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
    "foremost": lambda client: _queue(client).foremost(),
    "lengths": lambda client: _queue(client).lengths(),
}


def _queue(client: Redis) -> RqWorkQueue:
    return RqWorkQueue(client, wake=Leases(client).wake)


@pytest.mark.parametrize(("error", "says"), REFUSALS.items(), ids=lambda text: text.split()[0])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_refusal_of_redis_is_one_line(
    error: str, says: str, call: Callable[[Redis], object]
) -> None:
    with a_redis_that_answers(error) as client, pytest.raises(StoreUnavailable) as refused:
        call(client)
    line = str(refused.value)
    assert says in line
    assert "\n" not in line
