"""Ages as kubectl writes them. Source: k8s.io/apimachinery duration.HumanDuration."""

from __future__ import annotations


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
