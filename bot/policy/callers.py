"""What a machine that comes through the API may do: its token's scope, as the catalog has it."""

from __future__ import annotations

from dataclasses import dataclass

from bot.releases.facts.ages import moment
from bot.releases.facts.target import Strategy, Target


@dataclass(frozen=True)
class Caller:
    """A token of the API. Empty ``clusters`` and ``strategies``: all of them. ``expires_at``:
    milliseconds; None: never."""

    name: str
    apps: frozenset[str]
    clusters: frozenset[str] = frozenset()
    strategies: frozenset[Strategy] = frozenset()
    may_start: bool = False
    expires_at: int | None = None
    file: str = ""  # where its token is

    def covers(self, target: Target) -> bool:
        in_cluster = not self.clusters or target.cluster in self.clusters
        return in_cluster and target.app in self.apps

    def has_expired(self, now: int) -> bool:
        return self.expires_at is not None and now >= self.expires_at


def refusal_of_caller(
    name: str, caller: Caller | None, target: Target, strategy: Strategy, now: int
) -> str:
    """ "" when the caller may start such a release, else one line that says why not. ``caller``
    None: the catalog no longer names it."""
    if caller is None:
        return f"The catalog no longer names the API caller {name}."
    if caller.expires_at is not None and caller.has_expired(now):
        return f"The API token {name} expired at {moment(caller.expires_at)}."
    if not caller.may_start:
        return f"The API caller {name} may read and start nothing."
    if not caller.covers(target):
        return f"The API caller {name} may not release {target.label}."
    if caller.strategies and strategy not in caller.strategies:
        allowed = ", ".join(sorted(caller.strategies))
        return f"The API caller {name} may release {target.label} by {allowed}, not by {strategy}."
    return ""
