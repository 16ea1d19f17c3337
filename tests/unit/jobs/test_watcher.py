"""Changes become wakes: at once after silence, spaced while they go on, never dropped."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from bot.operations.delivery.budgets import EDITS
from bot.releases.facts.release import Release
from jobs.watcher import CARD_SPACING_MS, Pacer, Place, card_pacer
from tests.builders import a_release, a_target

TARGET = a_target()


def place(
    deployment: str = "",
    service: str = "",
    cluster: str = TARGET.cluster,
    namespace: str = TARGET.namespace,
) -> Place:
    return Place(cluster, namespace, deployment, service)


def wakes_of(pacer: Pacer, changes: list[float]) -> list[float]:
    """When the wakes are that changes at these times plan."""
    return sorted({round(now + pacer.delay_ms("hello-1", now)) for now in changes})


def test_a_change_after_silence_wakes_at_once() -> None:
    assert wakes_of(Pacer(), [0, 60_000]) == [0, 60_000]


def test_the_last_change_of_a_burst_is_followed_by_a_wake() -> None:
    changes = [float(at) for at in range(0, 1_000, 10)]
    assert wakes_of(Pacer(), changes)[-1] >= changes[-1]


def test_a_planned_wake_is_asked_for_again_since_an_earlier_tick_may_have_used_it_up() -> None:
    pacer = Pacer()
    assert [pacer.delay_ms("hello-1", at) for at in (0, 50, 120)] == [0, 150, 80]


def test_wakes_under_a_storm_of_changes_grow_apart_to_two_seconds() -> None:
    wakes = wakes_of(Pacer(), [float(at) for at in range(0, 60_000, 20)])
    gaps = [later - sooner for sooner, later in pairwise(wakes)]
    assert gaps[0] == 200
    assert gaps == sorted(gaps) and gaps[-1] == 2_000


def test_after_a_silence_the_spacing_is_short_again() -> None:
    pacer = Pacer()
    wakes_of(pacer, [float(at) for at in range(0, 30_000, 20)])
    assert wakes_of(pacer, [60_000, 60_010]) == [60_000, 60_200]


def test_releases_are_paced_apart() -> None:
    pacer = Pacer()
    assert [pacer.delay_ms("hello-1", 0), pacer.delay_ms("cart-1", 10)] == [0, 0]


def test_what_only_moves_the_card_wakes_less_often_than_slack_takes_edits() -> None:
    changes = [float(at) for at in range(0, 3_000, 100)]
    assert wakes_of(card_pacer(), changes) == [1_500, 3_000]
    assert 60_000 / EDITS.per_minute <= CARD_SPACING_MS


def test_in_a_long_roll_the_card_moves_every_three_seconds() -> None:
    """Each tick lists all the pods, three hundred of them for instance."""
    wakes = wakes_of(card_pacer(), [float(at) for at in range(0, 60_000, 20)])
    assert [late - soon for soon, late in pairwise(wakes)][-10:] == [3_000] * 10


@pytest.mark.parametrize(
    "changed",
    [
        place("hello"),
        place("hello-canary"),
        place("hello-green"),
        *(place(service=name) for name in TARGET.services),
    ],
)
def test_a_release_is_concerned_by_its_own_objects(changed: Place) -> None:
    assert changed.concerns(a_release(target=TARGET))


def test_a_release_is_concerned_by_the_idle_one_of_its_pair() -> None:
    pair = replace(TARGET, deployment="hello-green", idle="hello")
    assert place("hello").concerns(a_release(target=pair))


@pytest.mark.parametrize(
    "changed",
    [
        place("cart"),
        place(service="cart"),
        place("hello", cluster="other"),
        place("hello", namespace="other"),
        place("hello-2"),
    ],
)
def test_a_release_is_not_concerned_by_those_of_others(changed: Place) -> None:
    release: Release = replace(a_release(target=TARGET), id="hello-1")
    assert not changed.concerns(release)
