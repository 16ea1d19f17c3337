"""The picture of a release in its thread, and the words that say the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.facts.release import Phase, PodCounts, Release, Rollback, StepTime
from bot.slack.blocks.chart import chart_block, chart_words, charts_of, points_of
from sandbox.slack.block_rules import check_message_blocks
from tests.blocks.stories import NOW, ROLLED_BACK, ROLLING, STORY, SUCCEEDED
from tests.builders import MINUTE, T0


def test_a_canary_is_drawn_step_by_step() -> None:
    points = points_of(STORY)
    assert [(one.after, one.share) for one in points] == [
        ("0 s", 0),
        ("2 min 10 s", 25),
        ("6 min", 50),
        ("7 min", 100),
    ]
    assert check_message_blocks([dict(chart_block(STORY, points))]).problems == []


def test_the_words_say_what_the_picture_shows() -> None:
    points = points_of(STORY)
    (series,) = chart_block(STORY, points)["chart"]["series"]
    words = chart_words(STORY, points)
    first, *steps, last = [(f"{one['value']}%", one["label"]) for one in series["data"]]
    assert all(f"{share} until {label}" in words for share, label in steps)
    assert all(f"{share} at {label}" in words for share, label in (first, last))
    assert "Verdicts: good" in words


def test_a_rollback_ends_at_nothing() -> None:
    first = STORY.timeline[0]
    back = StepTime("back to 1.0.0", first.ended_at, first.ended_at + MINUTE)
    cut = replace(first, cut=True)
    rolled_back = replace(
        STORY,
        phase=Phase.ROLLED_BACK,
        rollback=Rollback(Phase.ROLLED_BACK),
        timeline=(first, replace(cut, began_at=T0 + MINUTE, ended_at=T0 + 3 * MINUTE), back),
    )
    assert points_of(rolled_back)[-1].share == 0


def test_a_long_release_keeps_within_slacks_limits() -> None:
    title = STORY.timeline[0].title
    steps = tuple(StepTime(title, T0, T0 + n * MINUTE) for n in range(1, 60))
    release = replace(STORY, timeline=steps, to_version="v" * 128)
    block = chart_block(release, points_of(release))
    assert check_message_blocks([dict(block)]).problems == []


@pytest.mark.parametrize("release", [ROLLING, SUCCEEDED, ROLLED_BACK])
def test_a_rolling_release_has_no_picture(release: Release) -> None:
    assert release.created_at <= NOW and points_of(release) == ()


def with_numbers(*counts: PodCounts | None) -> Release:
    steps = [replace(step, pods=count) for step, count in zip(STORY.timeline, counts, strict=True)]
    return replace(STORY, timeline=tuple(steps))


NUMBERS = with_numbers(PodCounts(1, 1), PodCounts(2, 3, failing=1, restarts=4), None)


def test_the_numbers_of_each_step_are_a_second_picture() -> None:
    points = points_of(NUMBERS)
    share, numbers = charts_of(NUMBERS, points)
    assert share == chart_block(NUMBERS, points)
    assert numbers["title"] == "Pods of 2.0.0 at the end of each step"
    series = {one["name"]: one["data"] for one in numbers["chart"]["series"]}
    assert [one["label"] for one in series["ready"]] == ["2 min 10 s", "6 min"]
    values = {name: [one["value"] for one in data] for name, data in series.items()}
    assert values == {"ready": [1, 2], "failing": [0, 1], "restarts": [0, 4]}
    assert check_message_blocks([dict(share), dict(numbers)]).problems == []


def test_the_words_hold_the_numbers_where_no_picture_is_drawn() -> None:
    words = chart_words(NUMBERS, points_of(NUMBERS))
    assert (
        "Pods: 1 of 1 ready until 2 min 10 s, 2 of 3 ready (1 failing, 4 restarts) until" in words
    )


def test_without_numbers_there_is_one_picture() -> None:
    assert len(charts_of(STORY, points_of(STORY))) == 1
