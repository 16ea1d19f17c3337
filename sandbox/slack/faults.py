"""Faults on demand: failures of Slack or the network on the app's next calls."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

FaultKind = Literal[
    "rate_limited", "slow", "server_error", "error", "lost_reply", "lost_request", "garbled"
]
KINDS: tuple[str, ...] = get_args(FaultKind)


@dataclass(slots=True)
class Fault:
    """One rule, used up after `times` calls (-1: until removed).

    rate_limited: 429 with Retry-After `seconds`. slow: done at once, reply after `seconds`.
    server_error: HTTP 503. error: `{"ok": false, "error": code}`. lost_reply: done, but the
    connection is cut before the reply. lost_request: the connection is cut and nothing is done.
    garbled: done, but the reply is a page instead of JSON.
    """

    kind: str
    method: str = "*"
    channel: str | None = None
    times: int = 1
    seconds: float = 1.0
    code: str = "internal_error"


class Faults:
    def __init__(self) -> None:
        self._rules: list[Fault] = []

    def add(self, rule: dict[str, Any]) -> Fault:
        if rule.get("kind") not in KINDS:
            raise ValueError(f"a fault's kind is one of {', '.join(KINDS)}")
        unknown = set(rule) - {"kind", "method", "channel", "times", "seconds", "code"}
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        fault = Fault(**rule)
        self._rules.append(fault)
        return fault

    def clear(self) -> None:
        self._rules.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(rule) for rule in self._rules]

    def take(self, method: str, channel: str | None) -> Fault | None:
        """The first rule that fits this call; an exhausted rule is removed."""
        for rule in self._rules:
            if rule.method not in ("*", method) or (
                rule.channel is not None and rule.channel != channel
            ):
                continue
            if rule.times > 0:
                rule.times -= 1
                if rule.times == 0:
                    self._rules.remove(rule)
            return rule
        return None
