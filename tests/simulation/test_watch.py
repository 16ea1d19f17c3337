"""A watch that breaks reports what it missed, once it is back."""

from __future__ import annotations

from tests.simulation.watch import BOOKMARK_MS, KEPT, SimulatedWatch


def broken_watch(*, bookmarked: bool, missed: int) -> tuple[SimulatedWatch, list[str]]:
    reported: list[str] = []
    watch = SimulatedWatch(("busy", "quiet"), reported.append)
    for _ in range(KEPT + 5):
        watch.changed("busy")
    if bookmarked:
        watch.beat(BOOKMARK_MS)
    watch.is_broken = True
    reported.clear()
    for _ in range(missed):
        watch.changed("quiet")
    watch.resume()
    return watch, reported


def test_a_stream_is_resumed_from_the_version_of_its_bookmark() -> None:
    watch, reported = broken_watch(bookmarked=True, missed=2)
    assert reported == ["quiet", "quiet"]
    assert watch.counts["watch: resumed"] == 2 and watch.counts["watch: 410"] == 0


def test_without_a_bookmark_a_quiet_namespace_is_listed_anew() -> None:
    watch, reported = broken_watch(bookmarked=False, missed=0)
    assert reported == ["quiet"] and watch.counts["watch: 410"] == 1


def test_what_is_older_than_the_server_remembers_is_listed_anew() -> None:
    watch, reported = broken_watch(bookmarked=True, missed=KEPT + 1)
    assert set(reported) == {"busy", "quiet"} and watch.counts["watch: 410"] == 2
