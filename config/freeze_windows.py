"""Freezes of the catalog: windows that a rule of RFC 5545 opens in a time zone.

A window begins and ends by the clock on the wall: Friday 16:00 and 64 hours are Monday 08:00, also
where the clocks change in between. A time that the clocks skip is read with the offset before the
change, and one that comes twice is its first (RFC 5545, 3.3.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from config.nearest import nearest

EPOCH = datetime(2024, 1, 1)  # noqa: DTZ001 — local; a Monday, from which INTERVAL counts
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_SAMPLED_YEARS, _SAMPLED = 12, 400
_DAY_MS = 86_400_000
_AROUND = timedelta(days=2)  # more than any zone's offset


@dataclass(frozen=True)
class Occurrence:
    """Unix milliseconds; ``ends`` is no longer in it."""

    begins: int
    ends: int


@dataclass(frozen=True)
class Window:
    """``for_ms``: by the clock on the wall."""

    rule: str
    for_ms: int
    timezone: str

    def at(self, now: int) -> Occurrence | None:
        """The one that is open; of several, the one that ends last."""
        found = [one for one in self._near(now) if one.begins <= now < one.ends]
        return max(found, key=lambda one: one.ends, default=None)

    def next_within(self, now: int, ahead_ms: int) -> Occurrence | None:
        """The first that begins after now, at most ``ahead_ms`` later (a day at most)."""
        found = (one for one in self._near(now) if now < one.begins <= now + ahead_ms)
        return min(found, key=lambda one: one.begins, default=None)

    def _near(self, now: int) -> tuple[Occurrence, ...]:
        return _of_day(self, now // _DAY_MS)


@lru_cache(maxsize=256)
def _of_day(window: Window, day: int) -> tuple[Occurrence, ...]:
    """Those that are open on this day (of UTC, since 1970) or begin until the next has passed."""
    since = datetime.fromtimestamp(day * _DAY_MS / 1000, UTC).replace(tzinfo=None)
    longest = timedelta(milliseconds=window.for_ms) + _AROUND
    begins = _rule(window.rule).between(since - longest, since + 2 * _AROUND, inc=True)
    return tuple(_occurrence(window, one) for one in begins)


def _occurrence(window: Window, begins: datetime) -> Occurrence:
    ends = begins + timedelta(milliseconds=window.for_ms)
    return Occurrence(_instant(begins, window.timezone), _instant(ends, window.timezone))


def _instant(local: datetime, timezone: str) -> int:
    return round(local.replace(tzinfo=ZoneInfo(timezone)).timestamp() * 1000)


def _rule(text: str) -> Any:
    from dateutil.rrule import rrulestr  # only where a catalog has windows: 100 ms

    return rrulestr(text, dtstart=EPOCH)


# --- what a catalog may say -----------------------------------------------------------------------


def checked_rule(text: str) -> str:
    """Raises ValueError with one line."""
    parts = dict(part.partition("=")[::2] for part in text.upper().split(";"))
    if parts.get("FREQ") not in FREQUENCIES:
        raise ValueError(
            f"`{text[:80]}` is not a rule: it begins with FREQ={', '.join(FREQUENCIES[:-1])} or"
            f" {FREQUENCIES[-1]}, such as FREQ=WEEKLY;BYDAY=FR;BYHOUR=16"
        )
    if "COUNT" in parts:
        raise ValueError("COUNT has no date to count from: use UNTIL")
    if "DTSTART" in text.upper() or "\n" in text:
        raise ValueError("a rule is one line of FREQ=…, without DTSTART")
    try:
        _rule(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"`{text[:80]}` is not a rule of RFC 5545: {error}") from error
    return text


def checked_timezone(name: str) -> str:
    """Raises ValueError with the nearest zone."""
    known = available_timezones()
    if name in known:
        return name
    close = nearest(name, known)
    hint = f"; did you mean `{close}`?" if close else ", such as Europe/Berlin"
    raise ValueError(f"no time zone `{name}`{hint}")


def refusal_of_window(window: Window) -> str:
    """ "" for one that opens and closes, else one line."""
    if window.for_ms < 60_000:
        return "`for` must be at least 1m"
    found = list(islice(_sampled(window), _SAMPLED))
    if not found:
        return f"the window never begins: no date of {_SAMPLED_YEARS} years fits `rule`"
    if len(found) > 1 and all(later.begins <= one.ends for one, later in pairwise(found)):
        return "the window never ends: the next one begins before it does; shorten `for`"
    return ""


def _sampled(window: Window) -> Iterator[Occurrence]:
    last = EPOCH + timedelta(days=366 * _SAMPLED_YEARS)
    rule = _rule(window.rule)
    until = min(filter(None, (rule._until, last)))
    for begins in rule.replace(until=until):
        yield _occurrence(window, begins)
