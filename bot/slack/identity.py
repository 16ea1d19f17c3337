"""The Directory port: people and user groups of the workspace, cached so that listeners rarely wait
for Slack."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from cachetools import TTLCache

from bot.policy.permissions import PersonKind
from bot.ports import ChannelUnavailable, RateLimited, SlackUnavailable
from bot.slack.client import make_client
from bot.slack.errors import translated

GROUPS_SECONDS = 60.0
STALE_SECONDS = 600.0
NAMES_SECONDS = 3_600.0
CHANNELS_SECONDS = 60.0
CHANNELS_A_PAGE = 200
CHANNEL_PAGES = 25
_log = logging.getLogger(__name__)


class SlackDirectory:
    """``clock``: monotonic seconds."""

    def __init__(
        self,
        token: str,
        api_url: str,
        *,
        ca_file: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = make_client(token, api_url, ca_file=ca_file)
        self._clock = clock
        self._members: dict[str, frozenset[str]] | None = None  # group -> users
        self._read_at = 0.0
        self._home = ""
        self._reading = threading.Lock()
        self._names: TTLCache[str, str] = TTLCache(maxsize=10_000, ttl=NAMES_SECONDS, timer=clock)
        self._channels: TTLCache[str, frozenset[str]] = TTLCache(
            maxsize=10_000, ttl=CHANNELS_SECONDS, timer=clock
        )
        self._names_lock = threading.Lock()

    def groups_of(self, user: str) -> frozenset[str]:
        """From the cache. Groups older than a minute are read again in the background; groups older
        than ten minutes are read first. Raises SlackUnavailable."""
        members, age = self._members, self._clock() - self._read_at
        if members is None or age >= STALE_SECONDS:
            members = self.memberships()
        elif age >= GROUPS_SECONDS and self._reading.acquire(blocking=False):
            threading.Thread(target=self._refresh_locked, name="groups", daemon=True).start()
        return frozenset(group for group, users in members.items() if user in users)

    def _refresh_locked(self) -> None:
        try:
            self._read()
        except SlackUnavailable as away:
            _log.warning("user groups are out of date: %s", away)
        finally:
            self._reading.release()

    def memberships(self) -> dict[str, frozenset[str]]:
        """Read the groups now. Raises SlackUnavailable."""
        with self._reading:
            return self._read()

    def _read(self) -> dict[str, frozenset[str]]:
        try:
            with translated("usergroups.list"):
                response = self._client.usergroups_list(include_users=True, include_disabled=False)
        except RateLimited as limited:
            raise SlackUnavailable(str(limited), limited.retry_after_ms) from limited
        groups = response.get("usergroups") or ()
        members = {
            str(group["id"]): frozenset(map(str, group.get("users") or ())) for group in groups
        }
        self._members, self._read_at = members, self._clock()
        return members

    def kind_of(self, user: str) -> PersonKind:
        try:
            with translated("users.info"):
                found = self._client.users_info(user=user).get("user") or {}
        except RateLimited as limited:
            raise SlackUnavailable(str(limited), limited.retry_after_ms) from limited
        except ChannelUnavailable:  # user_not_found
            return PersonKind.UNKNOWN
        return _kind(found, self.home_team())

    def home_team(self) -> str:
        if not self._home:
            try:
                with translated("auth.test"):
                    self._home = str(self._client.auth_test()["team_id"])
            except RateLimited as limited:
                raise SlackUnavailable(str(limited)) from limited
        return self._home

    def channels_of(self, user: str) -> frozenset[str]:
        with self._names_lock:
            known = self._channels.get(user)
        if known is not None:
            return known
        found: set[str] = set()
        cursor = ""
        try:
            for _ in range(CHANNEL_PAGES):
                with translated("users.conversations"):
                    response = self._client.users_conversations(
                        user=user,
                        types="public_channel,private_channel",
                        exclude_archived=True,
                        limit=CHANNELS_A_PAGE,
                        **({"cursor": cursor} if cursor else {}),
                    )
                found |= {str(one["id"]) for one in response.get("channels") or ()}
                cursor = str((response.get("response_metadata") or {}).get("next_cursor") or "")
                if not cursor:
                    break
        except RateLimited as limited:
            raise SlackUnavailable(str(limited), limited.retry_after_ms) from limited
        except ChannelUnavailable:  # user_not_found
            return frozenset()
        with self._names_lock:
            self._channels[user] = frozenset(found)
        return frozenset(found)

    def name_of(self, user: str) -> str:
        with self._names_lock:
            known = self._names.get(user)
        if known is not None:
            return known
        try:
            with translated("users.info"):
                found = self._client.users_info(user=user).get("user") or {}
        except (SlackUnavailable, RateLimited, ChannelUnavailable):  # the last: user_not_found
            return user
        name = str(found.get("name") or user)
        with self._names_lock:
            self._names[user] = name
        return name


def _kind(found: Mapping[str, Any], home: str) -> PersonKind:
    if found.get("deleted"):
        return PersonKind.DEACTIVATED
    if found.get("is_stranger") or found.get("team_id", home) != home:
        return PersonKind.STRANGER
    if found.get("is_bot"):
        return PersonKind.BOT
    is_guest = found.get("is_restricted") or found.get("is_ultra_restricted")
    return PersonKind.GUEST if is_guest else PersonKind.MEMBER
