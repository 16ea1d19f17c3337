"""What the bot counted reaches Redis while its configuration changes."""

from __future__ import annotations

from bot.store import Leases, connect
from bot.tally import TALLY
from bot.wiring import reporting
from sandbox.redis_server import EmbeddedRedis
from tests.conftest import eventually


def arrives(url: str, name: str) -> bool:
    """One more is counted at each look: a report that had begun may still go where it began."""
    TALLY.add({name: 1})
    return name in Leases(connect(url)).counters()


def test_counts_go_to_the_address_of_the_newest_configuration() -> None:
    with EmbeddedRedis() as first, EmbeddedRedis() as second:
        urls = [first.url]
        with reporting(lambda: urls[-1], every_s=0.01):
            assert eventually(lambda: arrives(first.url, "slack:before:ok"))
            urls.append(second.url)
            assert eventually(lambda: arrives(second.url, "slack:after:ok"))
