"""A fleet release on its card: a row for each cluster, trouble first, and its buttons."""

from __future__ import annotations

from collections.abc import Iterator

from bot.releases.facts.counts import some_of
from bot.releases.facts.fleet import SHOWN, Fleet, Part
from bot.releases.facts.release import Phase, Release
from bot.releases.fleet.plan import order, way_back
from bot.slack.blocks.elements import Block, section
from bot.slack.markup import date, plain

ROWS_OF_SECTION = 10
ROWS = 20
"""Clusters with a row of their own; the rest stand together in one."""
_MARKS = {"waiting": "▫️", "running": "🚢", "done": "✅", "failed": "❌"}


def fleet_state_words(release: Release, fleet: Fleet) -> str:
    """What it is doing, or how it ended; "" where the phase says it as for any release."""
    version, at = release.to_version, release.progress.at_step
    done = [one.cluster for one in fleet.parts if one.state == "done" and one.back != "done"]
    match release.phase:
        case Phase.PROGRESSING if fleet.is_catching_up:
            late = [one.cluster for one in fleet.parts if one.state != "done"]
            return f"done but for {some_of(late, SHOWN)}"
        case Phase.PROGRESSING if 0 <= at < len(fleet.waves):
            clusters = some_of(fleet.waves[at].clusters, SHOWN)
            return f"wave {at + 1} of {len(fleet.waves)}: {clusters}"
        case Phase.HOLDING:
            return f"soaking in {some_of(fleet.waves[at].clusters, SHOWN)}"
        case Phase.ROLLING_BACK:
            return "rolling back all, the last wave first"
        case Phase.SUCCEEDED if release.rollback is None:
            return f"{release.target.label} is on {version} in {some_of(done, SHOWN)}"
        case Phase.SUCCEEDED:
            back = [one.cluster for one in fleet.parts if one.back == "done"]
            return f"{release.target.label} is back on {version} in {some_of(back, SHOWN)}"
        case phase if phase.is_final:
            stays = f": {version} stays in {some_of(done, SHOWN)}" if done else ""
            return f"{phase.words}{stays if release.rollback is None else ''}"
        case _:
            return ""


def fleet_blocks(release: Release, fleet: Fleet) -> list[Block]:
    rows = list(_rows(release, fleet))
    starts = range(0, len(rows), ROWS_OF_SECTION)
    blocks = [section("\n".join(rows[at : at + ROWS_OF_SECTION])) for at in starts]
    if release.phase.is_final:
        return blocks
    planned = [plain(line, 300) for line in (*order(fleet), way_back(fleet))]
    return [*blocks, section("\n".join(planned))]


def fleet_lines(fleet: Fleet) -> Iterator[str]:
    """The rows without markup."""
    for part in _in_order(fleet)[:ROWS]:
        yield f"{part.cluster}: {_words(fleet, part)}"


def _rows(release: Release, fleet: Fleet) -> Iterator[str]:
    parts = _in_order(fleet)
    shown, rest = parts[:ROWS], parts[ROWS:]
    for part in shown:
        since = f" · since {date(part.since)}" if part.since and not release.phase.is_final else ""
        yield f"{_mark(part)} *{plain(part.cluster)}* {plain(_words(fleet, part), 200)}{since}"
    for state in ("running", "done", "waiting"):
        same = [one.cluster for one in rest if one.state == state]
        if same:
            yield f"{_MARKS[state]} {plain(f'{state}: {some_of(same, SHOWN)}', 400)}"


def _in_order(fleet: Fleet) -> list[Part]:
    """Trouble first, then what runs, then the rest in the order of the waves."""

    def rank(part: Part) -> tuple[int, int]:
        is_trouble = part.state == "failed" or part.left or part.away or part.is_skipped
        at = {"running": 1, "waiting": 3, "done": 2}.get(part.state, 0)
        return (0 if is_trouble else at), fleet.wave_of(part.cluster)

    return sorted(fleet.parts, key=rank)


def _mark(part: Part) -> str:
    if part.left or (part.away and part.state != "done"):
        return "⚠️"
    return "↩️" if part.back in ("running", "done") else _MARKS[part.state]


def _words(fleet: Fleet, part: Part) -> str:
    runs = part.from_version or part.runs
    if part.left:
        return f"was left: {part.left}"
    if part.away and part.state != "done":
        skipped = "skipped until it answers; " if part.is_skipped else ""
        return f"{skipped}does not answer: {part.away}"
    if part.back:
        return "is rolling back" if part.back == "running" else f"is back on {runs}"
    if part.state == "waiting":
        return f"{runs or '?'}, wave {fleet.wave_of(part.cluster) + 1}"
    share = f" · {part.share}%" if part.share is not None else ""
    return f"{runs} → {part.words}{share}" if part.state != "done" else f"on {part.runs or 'it'}"
