"""Shares as replicas."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.releases.facts.replicas import (
    Bounds,
    CannotSplit,
    Split,
    nearest,
    reachable,
    split_steps,
    surge_for_promotion,
)

REPLICAS = st.integers(1, 200)
SHARES = st.integers(1, 99)
MODES = st.booleans()


@given(REPLICAS, SHARES, MODES)
def test_a_share_above_0_always_has_a_candidate_and_one_below_100_a_stable_pod(
    count: int, share: int, shift: bool
) -> None:
    split = nearest(share, Bounds(count, count, shift=shift))
    assert split is not None and split.candidates >= 1 and split.stables >= 1


@given(REPLICAS, SHARES, MODES)
def test_the_pods_never_become_fewer_than_before(count: int, share: int, shift: bool) -> None:
    split = nearest(share, Bounds(count, count, shift=shift))
    assert (
        split is not None and split.candidates + split.stables >= count and split.stables <= count
    )


@given(REPLICAS, SHARES)
def test_add_mode_keeps_stable_whole_within_the_candidate_limit(count: int, share: int) -> None:
    split = nearest(share, Bounds(count, max(1, count // 2)))
    assert split is not None and split.stables == count and split.candidates <= max(1, count // 2)


@settings(max_examples=30)
@given(REPLICAS, SHARES, MODES)
def test_no_other_allowed_split_is_nearer(count: int, share: int, shift: bool) -> None:
    bounds = Bounds(count, count, shift=shift)
    split, wanted = nearest(share, bounds), Fraction(share, 100)
    assert split is not None
    assert abs(split.share - wanted) == min(abs(other.share - wanted) for other in bounds.splits())


@given(REPLICAS, SHARES, st.integers(1, 20))
def test_shift_mode_never_goes_below_the_floor(count: int, share: int, floor: int) -> None:
    split = nearest(share, Bounds(count, count, shift=True, floor=floor))
    assert (split is None) == (floor > count)
    assert split is None or split.stables >= floor


@settings(max_examples=80)
@given(REPLICAS, st.lists(SHARES, min_size=1, max_size=5, unique=True), MODES)
def test_steps_rise_strictly_or_are_refused_with_reachable_shares(
    count: int, shares: list[int], shift: bool
) -> None:
    bounds = Bounds(count, count, shift=shift)
    try:
        splits = split_steps(sorted(shares), bounds)
    except CannotSplit as refused:
        told = str(refused)
    else:
        told = ""
    if told:
        assert "\n" not in told
        assert told.endswith(f"reachable: {', '.join(f'{share}%' for share in reachable(bounds))}")
        return
    rising = [split.share for split in splits]
    assert rising == sorted(set(rising)) and len(splits) == len(shares)
    assert all(later.candidates >= earlier.candidates for earlier, later in pairwise(splits))
    assert all(later.stables <= earlier.stables for earlier, later in pairwise(splits))


@pytest.mark.slow
@pytest.mark.parametrize("shift", [False, True], ids=["add", "shift"])
def test_every_share_has_both_versions_and_rises_with_the_wish(
    shift: bool,
) -> None:
    for count in range(1, 201):
        before = Fraction(0)
        for share in range(1, 100):
            split = nearest(share, Bounds(count, count, shift=shift))
            assert split is not None and split.candidates >= 1 and split.stables >= 1, (
                count,
                share,
            )
            assert split.candidates + split.stables >= count, (count, share)
            assert split.share >= before, (count, share)
            before = split.share


@pytest.mark.parametrize("shift", [False, True], ids=["add", "shift"])
@pytest.mark.parametrize(("count", "share"), [(2, 75), (5, 90), (10, 95), (25, 98)])
def test_both_versions_have_a_pod_where_zero_surge_would_drop_one(
    count: int, share: int, shift: bool
) -> None:
    split = nearest(share, Bounds(count, count, shift=shift))
    assert split is not None and split.candidates >= 1 and split.stables >= 1
    assert split == (Split(count, 1) if shift else Split(count, count))


def test_three_replicas_reach_25_40_and_50_percent() -> None:
    assert reachable(Bounds(3, 3)) == (25, 40, 50)


def test_refuses_more_steps_than_the_replicas_can_tell_apart() -> None:
    with pytest.raises(
        CannotSplit,
        match=r"2 steps \(10%, 20%\) cannot be told apart with 1 replica .* reachable: 50%",
    ):
        split_steps((10, 20), Bounds(1, 1))


def test_prefers_fewer_candidates_of_two_equally_near_splits() -> None:
    assert nearest(45, Bounds(3, 3)) == Split(2, 3)  # 40 and 50 are as near


@pytest.mark.parametrize(
    ("unavailable", "candidates", "room", "serve"),
    [(2, 1, None, 2), (2, 5, None, 5), (0, 1, None, 1), (3, 1, 2, 2), (3, 2, 1, 2)],
)
def test_enough_candidates_serve_during_the_promotion(
    unavailable: int, candidates: int, room: int | None, serve: int
) -> None:
    assert surge_for_promotion(10, unavailable, candidates, room) == serve
