"""Slack's text: escaping, cutting, dates in each reader's local time, people, and columns that
align in every script. Pure."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
DAY_AND_TIME = "{date_short_pretty} {time_secs}"
_ID = re.compile(r"[A-Z][A-Z0-9]{1,30}", re.ASCII)


def units(text: str) -> int:
    """Length as Slack counts it: UTF-16 code units, so an emoji may count twice."""
    return (
        len(text)
        if text.isascii()
        else len(text) + sum(1 for character in text if ord(character) > 0xFFFF)
    )


def escape(text: str) -> str:
    """Keeps echoed text from becoming a link, a mention or ``<!channel>``."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """At most ``limit`` UTF-16 units, with an ellipsis where text is left out."""
    if units(text) <= limit:
        return text
    used, kept = 1, []
    for character in text:
        used += units(character)
        if used > limit:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def escaped(text: str, limit: int) -> str:
    """Escaped, then at most ``limit`` units long; never cuts an entity in two."""
    whole = escape(text)
    if units(whole) <= limit:
        return whole
    used, kept = 1, []
    for character in text:
        piece = escape(character)
        used += units(piece)
        if used > limit:
            break
        kept.append(piece)
    return "".join(kept).rstrip() + "…"


def plain(text: str, limit: int = 2_000) -> str:
    """Echoed text inside mrkdwn: escaped, with the signs for bold, italic, strike and code
    disarmed."""
    return re.sub(r"([*_~`])", "\\1\u2060", escaped(one_line(text), limit))


def code(text: str, limit: int = 300) -> str:
    """Inline code; a backtick inside becomes an apostrophe."""
    shown = escaped(one_line(text).replace("`", "'"), limit)
    return f"`{shown}`" if shown.strip() else "``"


def one_line(text: str) -> str:
    return " ".join(text.split())


def link(url: str, text: str) -> str:
    """``text`` as code where there is no address, or one that would break out of the brackets."""
    fits = url.startswith(("https://", "http://")) and not re.search(r"[\s<>|]", url)
    return f"<{url}|{escaped(one_line(text), 300)}>" if fits else code(text)


def mention(one: str) -> str:
    """A person, or a user group (its id begins with S)."""
    if not _ID.fullmatch(one):
        return escaped(one, 100)
    return f"<!subteam^{one}>" if one.startswith("S") else f"<@{one}>"


def date(at_ms: int, form: str = "{time}") -> str:
    """A moment in each reader's time zone; ``form`` holds Slack's tokens. The fallback is UTC."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"<!date^{at_ms // 1000}^{form}|{moment:%H:%M} UTC>"


def with_dates(text: str) -> str:
    """The moments in a text (bot.releases.facts.ages.moment) as dates in each reader's zone."""
    return _MOMENT.sub(lambda found: _dated(found[0]), text)


def _dated(written: str) -> str:
    at_ms = moment_in(written)
    return written if at_ms is None else date(at_ms, DAY_AND_TIME)


def with_clocks(text: str) -> str:
    """The same in plain text: ``2026-12-31 18:00:00 UTC``."""
    return _MOMENT.sub(lambda found: f"{found[0][:10]} {found[0][11:19]} UTC", text)


def for_terminal(text: str) -> str:
    """Words of people and of clusters must not move the cursor or colour the screen."""
    return with_clocks("".join(letter if letter.isprintable() else " " for letter in text))


def moment_in(text: str) -> int | None:
    """Milliseconds, of a text that is one moment and nothing else."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return None  # no such day


def clock(at_ms: int) -> str:
    """The same moment in plain text."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%H:%M} UTC"


def age(ms: int) -> str:
    """kubectl's AGE column, rounded down: ``42s``, ``5m``, ``3h``, ``2d``. Source: apimachinery
    duration.HumanDuration."""
    seconds = max(0, ms) // 1000
    for size, unit, until in ((1, "s", 120), (60, "m", 180 * 60), (3_600, "h", 48 * 3_600)):
        if seconds < until:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86_400}d"


def columns(text: str) -> int:
    """How many columns a text takes in a fixed-width font: wide characters take two, marks none."""
    if text.isascii() and text.isprintable():
        return len(text)
    width = 0
    for character in text:
        if unicodedata.combining(character) or unicodedata.category(character) in (
            "Cf",
            "Mn",
            "Me",
        ):
            continue
        width += 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
    return width


def padded(text: str, width: int) -> str:
    return text + " " * max(0, width - columns(text))
