"""Ages as kubectl writes them (source: k8s.io/apimachinery duration.HumanDuration), and moments in
the texts of events."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at_ms: int) -> str:
    """How a text that is kept names a moment. Whoever shows the text writes it for its reader.

    >>> moment(1_800_000_000_000)
    '2027-01-15T08:00:00Z'
    """
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def human_age(milliseconds: int) -> str:
    """
    >>> human_age(119_000), human_age(125_000), human_age(3 * 3_600_000), human_age(50 * 3_600_000)
    ('119s', '2m5s', '3h', '2d2h')
    """
    seconds = max(0, milliseconds // 1000)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    years = days // 365
    return f"{years}y{days % 365}d" if years < 8 and days % 365 else f"{years}y"


def duration(ms: int) -> str:
    """As people say it: ``42 s``, ``3 min 5 s``, ``2 h 10 min``."""
    seconds = max(0, ms) // 1000
    if 0 < ms < 1000:
        return "under 1 s"
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"
