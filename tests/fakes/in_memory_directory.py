"""The Directory port in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.policy.permissions import PersonKind
from bot.ports import SlackUnavailable


@dataclass
class InMemoryDirectory:
    """``asked`` counts the reads; with ``away`` Slack does not answer, and what was known still
    serves."""

    members: dict[str, frozenset[str]] = field(default_factory=dict)
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    kinds: dict[str, PersonKind] = field(default_factory=dict)
    asked: int = 0
    away: bool = False
    retry_after_ms: int | None = None
    team: str = "T1"
    channels: dict[str, frozenset[str]] = field(default_factory=dict)

    def memberships(self) -> Mapping[str, frozenset[str]]:
        self.asked += 1
        if self.away:
            raise SlackUnavailable("away", self.retry_after_ms)
        self.known = dict(self.members)
        return self.known

    def groups_of(self, user: str) -> frozenset[str]:
        if not self.known:
            raise SlackUnavailable("away")
        return frozenset(group for group, users in self.known.items() if user in users)

    def kind_of(self, user: str) -> PersonKind:
        if self.away:
            raise SlackUnavailable("away", self.retry_after_ms)
        return self.kinds.get(user, PersonKind.MEMBER)

    def home_team(self) -> str:
        return self.team

    def channels_of(self, user: str) -> frozenset[str]:
        if self.away:
            raise SlackUnavailable("away", self.retry_after_ms)
        return self.channels.get(user, frozenset())

    def name_of(self, user: str) -> str:
        return user
