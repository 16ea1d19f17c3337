"""One release at a time for each object, the others in line, and nobody in a circle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.ports import Locked, ReleaseStore, VersionConflict
from bot.releases.facts.release import Phase, Release
from tests.contracts.store.conftest import Adapters
from tests.contracts.store.test_releases import created, saved


def ended(store: ReleaseStore, release: Release) -> None:
    saved(store, replace(release, phase=Phase.SUCCEEDED))


def test_the_first_gets_all_its_locks(store: ReleaseStore) -> None:
    assert store.acquire(created(store), ["deployment", "service"]) == Locked()


def test_asking_again_gives_the_same_answer(store: ReleaseStore) -> None:
    holder, waiter = created(store), created(store)
    answers = [store.acquire(holder, ["a"]), store.acquire(holder, ["a"])]
    waits = [store.acquire(waiter, ["a"]), store.acquire(waiter, ["a"])]
    assert answers == [Locked(), Locked()]
    assert waits == [Locked(holder.id, 1), Locked(holder.id, 1)]


def test_each_release_queues_behind_the_one_before(store: ReleaseStore) -> None:
    one, two, three = created(store), created(store), created(store)
    assert [store.acquire(r, ["a"]) for r in (one, two, three)] == [
        Locked(),
        Locked(one.id, 1),
        Locked(two.id, 2),
    ]


def test_the_order_of_acceptance_decides_not_the_order_of_asking(store: ReleaseStore) -> None:
    first, second = created(store), created(store)
    assert store.acquire(second, ["a"]) == Locked(first.id, 2)
    assert store.acquire(first, ["a"]) == Locked()
    assert store.acquire(second, ["a"]) == Locked(first.id, 1)


def test_a_release_of_another_app_does_not_wait_for_one_that_has_not_asked(
    store: ReleaseStore,
) -> None:
    created(store)
    assert store.acquire(created(store, "cart"), ["a"]) == Locked()


def test_one_app_in_two_clusters_has_two_lines(store: ReleaseStore) -> None:
    in_eu, in_us = created(store, cluster="eu"), created(store, cluster="us")
    behind = created(store, cluster="us")
    assert store.acquire(in_us, ["us/hello"]) == Locked()
    assert store.acquire(in_eu, ["eu/hello"]) == Locked()
    assert store.acquire(behind, ["us/hello"]) == Locked(in_us.id, 1)


def test_a_release_that_ends_before_asking_unblocks_the_next(adapters: Adapters) -> None:
    store = adapters.store
    first, second = created(store), created(store)
    assert store.acquire(second, ["a"]).behind == first.id
    adapters.forget_wakes()
    ended(store, first)
    assert f"release:{second.id}" in adapters.due()
    assert store.acquire(second, ["a"]) == Locked()


def test_the_end_of_a_release_hands_its_locks_to_the_next_and_wakes_it(adapters: Adapters) -> None:
    store = adapters.store
    one, two, three = created(store), created(store), created(store)
    for release in (one, two, three):
        store.acquire(release, ["a", "b"])
    adapters.forget_wakes()
    ended(store, one)
    assert f"release:{two.id}" in adapters.due() and f"release:{three.id}" not in adapters.due()
    assert [store.acquire(two, ["a", "b"]), store.acquire(three, ["a", "b"])] == [
        Locked(),
        Locked(two.id, 1),
    ]


def test_a_release_takes_all_its_locks_or_none(store: ReleaseStore) -> None:
    holder, waiter, other = created(store), created(store, "cart"), created(store, "shop")
    store.acquire(holder, ["a"])
    assert store.acquire(waiter, ["a", "b"]).behind == holder.id
    ended(store, waiter)
    assert store.acquire(other, ["b"]) == Locked()


def test_no_release_is_overtaken_by_one_that_needs_less(store: ReleaseStore) -> None:
    holder, needs_both, needs_one = created(store), created(store, "cart"), created(store, "shop")
    store.acquire(holder, ["a"])
    store.acquire(needs_both, ["a", "b"])
    assert store.acquire(needs_one, ["b"]).behind == needs_both.id
    ended(store, holder)
    assert store.acquire(needs_both, ["a", "b"]) == Locked()


def test_lock_order_never_deadlocks_two_releases(
    store: ReleaseStore,
) -> None:
    holder, one, two = created(store), created(store, "cart"), created(store, "shop")
    store.acquire(holder, ["a", "b"])
    store.acquire(one, ["a", "b"])
    store.acquire(two, ["b", "a"])
    ended(store, holder)
    assert store.acquire(one, ["a", "b"]) == Locked()
    ended(store, one)
    assert store.acquire(two, ["b", "a"]) == Locked()


def test_leaving_the_queue_unblocks_those_behind(adapters: Adapters) -> None:
    store = adapters.store
    holder, leaver, last = created(store), created(store, "cart"), created(store, "shop")
    store.acquire(holder, ["a"])
    store.acquire(leaver, ["a", "b"])
    store.acquire(last, ["b"])
    adapters.forget_wakes()
    ended(store, leaver)
    assert f"release:{last.id}" in adapters.due()
    assert store.acquire(last, ["b"]) == Locked()


def test_locks_of_different_objects_are_independent(store: ReleaseStore) -> None:
    one, two = created(store), created(store, "cart")
    assert [store.acquire(one, ["a"]), store.acquire(two, ["b"])] == [Locked(), Locked()]


def test_a_finished_release_takes_no_locks(store: ReleaseStore) -> None:
    release = created(store)
    ended(store, release)
    with pytest.raises(VersionConflict):
        store.acquire(release, ["a"])
    assert store.acquire(created(store), ["a"]) == Locked()


def test_who_leaves_the_line_stands_in_nobodys_way_and_may_come_back(store: ReleaseStore) -> None:
    front, held, later = created(store), created(store), created(store)
    for release in (front, held, later):
        store.acquire(release, ["a"])
    ended(store, front)
    store.leave_line(held.id)
    store.leave_line(held.id)
    assert store.acquire(later, ["a"]) == Locked()
    assert store.acquire(held, ["a"]) == Locked(later.id, 1)
