"""Whom Redis admits, and what the user of Pilothouse may do there."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from bot.store.connection import PREFIX, open_client
from bot.store.replication import is_sentinel_url
from bot.store.scripts import Scripts

User = Literal["bot", "worker"]
_SAMPLE = PREFIX + "sample"
_ARGUMENTS = 5
"""More than any command needs before its last key."""
_OF_AN_ADMINISTRATOR = f"flushall{f' {_SAMPLE}' * _ARGUMENTS}"


@cache
def user_rules(user: User) -> tuple[str, ...]:
    """What a user needs, as words of `ACL SETUSER`: keys (~) and commands (+). The chart's copy
    lies in helm/pilothouse/redis-users."""
    return tuple(files("bot.store").joinpath("users", f"{user}.txt").read_text("utf-8").split())


@dataclass(frozen=True)
class Permissions:
    """``denied``: commands and patterns of keys, () also where Redis cannot say."""

    denied: tuple[str, ...] = ()
    is_administrator: bool = False


def read_permissions(client: Redis, user: User) -> Permissions:
    """Of the client's user, compared with what ``user`` needs. Raises StoreUnavailable."""
    calls = {_command_call(rule[1:]): rule[1:] for rule in user_rules(user) if rule[0] == "+"}
    calls |= {_key_call(rule[1:]): rule[1:] for rule in user_rules(user) if rule[0] == "~"}
    answer = Scripts(client).run("permitted", *calls, _OF_AN_ADMINISTRATOR)
    if answer is None:
        return Permissions()
    refused = {call.decode() for call in cast(list[bytes], answer)}
    return Permissions(
        denied=tuple(what for call, what in calls.items() if call in refused),
        is_administrator=_OF_AN_ADMINISTRATOR not in refused,
    )


def _command_call(command: str) -> str:
    return f"{command.replace('|', ' ')}{f' {_SAMPLE}' * _ARGUMENTS}"


def _key_call(pattern: str) -> str:
    return f"del {pattern.replace('*', 'sample')}"


def admits_everyone(url: str) -> bool:
    """Whether a client gets in without user and password. False for a service behind Sentinels,
    where it is not tried."""
    if is_sentinel_url(url):
        return False
    parts = urlsplit(url)
    anonymous = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    with closing(open_client(anonymous, socket_timeout=2.0, retry=Retry(NoBackoff(), 0))) as client:
        try:
            client.ping()
        except RedisError:
            return False
    return True
