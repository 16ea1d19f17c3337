"""A Redis that neither answers nor refuses: every entry is acknowledged in time, with a line."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import pytest

from bot.operations.context import Context
from bot.store import Leases, RedisReleaseStore, connect
from bot.work_queue import RqWorkQueue
from config.settings import Settings
from sandbox.redis_server import EmbeddedRedis
from sandbox.slack import LocalSlack
from tests.blocks.stories import NOW, ROLLING
from tests.shared_server import SharedServer
from tests.unit.slack.conftest import CHANNEL, serving

WITHIN_S = 3.5
"""A second try of any call would end after 4 s; the time of a busy machine is on top of the
deadline."""
SAYS = "Redis did not answer in time"


@contextmanager
def stopped() -> Iterator[str]:
    """Of a server that was asked before: its connections are open."""
    with EmbeddedRedis() as server:
        connect(server.url).ping()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            yield server.url
        finally:
            os.kill(server.pid, signal.SIGCONT)


@contextmanager
def silent() -> Iterator[str]:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def hanging(context: Context, url: str) -> Context:
    client = connect(url)
    queue = RqWorkQueue(client, wake=Leases(client).wake)
    return replace(context, store=RedisReleaseStore(client), queue=queue)


@pytest.mark.parametrize("redis", [stopped, silent])
def test_every_entry_is_acknowledged_in_time_while_redis_hangs(
    shared_server: SharedServer,
    context: Context,
    settings: Settings,
    slack: LocalSlack,
    redis: Callable[[], AbstractContextManager[str]],
) -> None:
    card = context.messenger.post(CHANNEL, context.render.card(ROLLING, now=NOW))

    def typed() -> str:
        return str(slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")["text"])

    def asked() -> str:
        return str(slack.command("U0DEV1", CHANNEL, "/pods hello")["text"])

    def clicked() -> str:
        slack.click("U0DEV1", CHANNEL, card, "release:pause")
        found = slack.wait_for(lambda: _private(slack, "Nothing was changed"), what="the click")
        return str(found[0])

    def submitted() -> str:
        slack.command("U0ADMIN", CHANNEL, "/deploy hello")
        began = time.monotonic()
        refused = slack.submit("U0ADMIN", {"version": {"deploy_version": "2.0.0"}})
        assert time.monotonic() - began < WITHIN_S
        assert "errors" in refused, refused
        return str(refused["errors"]["version"])

    def mentioned() -> str:
        ts = slack.command("U0DEV1", CHANNEL, "<@U0BOT> pods hello")["message"]["ts"]
        return str(slack.wait_for(lambda: _replies(slack, ts), what="the mention")[0])

    def opened_home() -> str:
        slack.open_home("U0DEV1")
        slack.wait_for(lambda: SAYS in json.dumps(slack.home("U0DEV1")), what="the home tab")
        return SAYS

    def timed(entry: Callable[[], str]) -> tuple[str, str, float]:
        began = time.monotonic()
        return entry.__name__, entry(), time.monotonic() - began

    entries = (typed, asked, clicked, submitted, mentioned, opened_home)
    with (
        redis() as url,
        serving(shared_server, hanging(context, url), settings, slack),
        ThreadPoolExecutor(len(entries)) as people,
    ):
        for name, line, seconds in people.map(timed, entries):
            assert line.startswith(SAYS), (name, line)
            # The form is opened and submitted: two requests.
            assert seconds < WITHIN_S * (2 if name == "submitted" else 1), (name, seconds)


def _private(slack: LocalSlack, with_words: str) -> list[str]:
    seen = slack.messages(CHANNEL, user="U0DEV1")
    return [m["text"] for m in seen if m["text"].startswith(SAYS) and with_words in m["text"]]


def _replies(slack: LocalSlack, ts: str) -> list[str]:
    return [m["text"] for m in slack.messages(CHANNEL, user="U0DEV1", thread_ts=ts)][1:]
