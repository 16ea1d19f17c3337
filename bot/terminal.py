"""`pilothouse releases [APP] [--in CLUSTER] [--watch]`: the cards in Slack as a table.
It only reads Redis."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bot.ports import ReleaseStore, StoreUnavailable
from bot.releases.facts.ages import human_age
from bot.releases.facts.release import Phase, Release
from bot.slack.blocks.words import change_words, percent, phase_words
from bot.slack.markup import for_terminal
from bot.stop_signal import StopSignal
from bot.store import RedisReleaseStore, connect
from config.settings import SettingsMistakes, read_settings

RECENT = 10
REDRAW_EVERY_S = 1.0
STYLES: dict[Phase, str] = {
    Phase.AWAITING_APPROVAL: "yellow",
    Phase.AWAITING_PROMOTION: "yellow",
    Phase.PAUSED: "yellow",
    Phase.DRIFTED: "yellow",
    Phase.ROLLING_BACK: "red",
    Phase.ROLLED_BACK: "red",
    Phase.FAILED: "red",
    Phase.SUCCEEDED: "green",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 when Redis is unavailable; 2 for mistakes in the settings."""
    parser = argparse.ArgumentParser(
        prog="pilothouse releases", description="Running and recent releases."
    )
    parser.add_argument("app", nargs="?", help="only this app's releases")
    parser.add_argument(
        "--in", dest="cluster", metavar="CLUSTER", help="only the releases in this cluster"
    )
    parser.add_argument("--watch", action="store_true", help="keep watching until Ctrl-C")
    parser.add_argument(
        "--limit",
        type=int,
        default=RECENT,
        help=f"how many finished releases to show (default {RECENT})",
    )
    given = parser.parse_args(argv)
    store, console = open_store(), Console()
    if store is None:
        return 2
    if given.watch:
        stop = StopSignal().on_signals()
        watch(store, console, stop, app=given.app, cluster=given.cluster, limit=given.limit)
        return 0
    try:
        console.print(overview(store, app=given.app, cluster=given.cluster, limit=given.limit))
    except StoreUnavailable as away:
        print(away, file=sys.stderr)
        return 1
    return 0


def open_store() -> ReleaseStore | None:
    """None where the settings have mistakes, which are printed."""
    try:
        settings = read_settings(os.environ, "terminal")
    except SettingsMistakes as mistakes:
        print(mistakes, file=sys.stderr)
        return None
    return RedisReleaseStore(connect(settings.redis_url))


def watch(
    store: ReleaseStore,
    console: Console,
    stop: StopSignal,
    *,
    app: str | None = None,
    cluster: str | None = None,
    limit: int = RECENT,
) -> None:
    """Redraws once a second until ``stop``. While Redis is unavailable the last table stays, with
    a line that says so."""
    watch_drawing(console, stop, partial(overview, store, app=app, cluster=cluster, limit=limit))


def watch_drawing(console: Console, stop: StopSignal, draw: Callable[[], RenderableType]) -> None:
    shown = Group(Text("loading…"))
    with Live(shown, console=console, auto_refresh=False) as live:
        while not stop():
            try:
                shown = Group(draw())
                live.update(shown, refresh=True)
            except StoreUnavailable as away:
                live.update(
                    Group(*shown.renderables, Text(f"out of date: {away}", style="red")),
                    refresh=True,
                )
            stop.wait(REDRAW_EVERY_S)


def overview(
    store: ReleaseStore,
    *,
    app: str | None = None,
    cluster: str | None = None,
    limit: int = RECENT,
) -> Table:
    """Running releases, oldest first, then finished ones, newest first. Raises
    StoreUnavailable."""
    running = store.active(app, cluster)
    known = {release.id for release in running}
    over = [
        r
        for r in store.recent(app, cluster, limit=limit + len(running))
        if r.phase.is_final and r.id not in known
    ][:limit]
    return releases_table(running, over, now=store.now())


def releases_table(running: Sequence[Release], over: Sequence[Release], *, now: int) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{len(running)} running, {len(over)} finished",
        title_justify="left",
    )
    for name in ("RELEASE", "WHAT", "STATE", "DONE", "BY", "AGE", "TOOK"):
        table.add_column(name, no_wrap=name in ("RELEASE", "DONE", "AGE", "TOOK"), overflow="fold")
    for release in (*running, *over):
        table.add_row(
            *(Text(cell, style=STYLES.get(release.phase, "")) for cell in _cells(release, now))
        )
        if release is (running[-1] if running else None) and over:
            table.add_section()
    return table


def _cells(release: Release, now: int) -> tuple[str, ...]:
    share = percent(release)
    state = phase_words(release)
    if release.cause is not None and release.phase is not Phase.SUCCEEDED:
        state += f": {release.cause.summary}"
    if release.unreachable and not release.phase.is_final:
        state += f" (cluster unreachable for {human_age(now - release.unreachable.since)})"
    ends = release.finished_at or now
    cells = (
        release.id,
        change_words(release),
        state,
        f"{share}%" if share is not None and not release.phase.is_final else "",
        release.requested_by.display_name,
        human_age(now - release.created_at),
        human_age(ends - release.started_at) if release.started_at else "",
    )
    return tuple(for_terminal(cell) for cell in cells)
