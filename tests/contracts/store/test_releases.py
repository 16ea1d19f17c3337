"""What every ReleaseStore does with releases: ids, versions, outbox, cards, retention."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from bot.ports import ReleaseStore, VersionConflict
from bot.releases.facts.changes import Deploy, Undo
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase, Release
from tests.builders import T0, a_release, a_target, a_template
from tests.contracts.store.conftest import KEPT, Adapters

_operations = (f"operation-{number}" for number in count())


def created(store: ReleaseStore, app: str = "hello", **parts: str) -> Release:
    operation = next(_operations)
    in_cluster = {"cluster": parts["cluster"], "one_of_many": True} if "cluster" in parts else {}
    draft = a_release(target=a_target(app=app, **in_cluster))
    return store.create(
        draft,
        dedup_key=parts.get("dedup_key", operation),
        same_as=parts.get("same_as", ""),
        operation=operation,
    ).release


def saved(
    store: ReleaseStore, release: Release, *events: Event, card: bool = True, **changes: object
) -> Release:
    changed = replace(release, **changes)  # type: ignore[arg-type]
    return store.save(changed, events, operation=next(_operations), card=card)


def an_event(text: str = "went on", kind: EventKind = EventKind.STEP_BEGAN) -> Event:
    return Event(T0, kind, text)


def texts(store: ReleaseStore, release: Release) -> list[str]:
    return [entry.event.text for entry in store.outbox(release.id)[0]]


def test_ids_count_per_app(store: ReleaseStore) -> None:
    assert [created(store).id, created(store, "cart").id, created(store).id] == [
        "hello-1",
        "cart-1",
        "hello-2",
    ]


def test_load_returns_what_was_created(store: ReleaseStore) -> None:
    release = created(store)
    assert store.load(release.id) == release


def test_a_release_begins_at_version_one(store: ReleaseStore) -> None:
    assert created(store).version == 1


def test_an_unknown_release_is_a_key_error(store: ReleaseStore) -> None:
    with pytest.raises(KeyError):
        store.load("hello-99")


def test_the_same_request_returns_the_first_release(store: ReleaseStore) -> None:
    first = store.create(a_release(), dedup_key="trigger", same_as="", operation="a")
    second = store.create(a_release(), dedup_key="trigger", same_as="", operation="b")
    assert (second.release.id, first.fresh, second.fresh) == (first.release.id, True, False)


def test_the_same_command_returns_the_running_release(store: ReleaseStore) -> None:
    first = store.create(a_release(), dedup_key="trigger-1", same_as="hello 2.0.0", operation="a")
    second = store.create(a_release(), dedup_key="trigger-2", same_as="hello 2.0.0", operation="b")
    assert (second.release.id, second.fresh) == (first.release.id, False)


def test_the_same_command_starts_a_new_release_after_the_first_has_ended(
    store: ReleaseStore,
) -> None:
    first = created(store, same_as="hello 2.0.0")
    saved(store, first, phase=Phase.SUCCEEDED)
    assert created(store, same_as="hello 2.0.0").id == "hello-2"


def test_a_repeated_creation_happens_once(store: ReleaseStore) -> None:
    first = store.create(a_release(), dedup_key="", same_as="", operation="once")
    second = store.create(a_release(), dedup_key="", same_as="", operation="once")
    assert (second, len(store.recent())) == (first, 1)


def test_creation_delivers_wakes_and_audits(adapters: Adapters) -> None:
    release = created(adapters.store)
    assert [e.event.kind for e in adapters.store.outbox(release.id)[0]] == [EventKind.CREATED]
    assert adapters.store.audit()[0].release_id == release.id
    assert set(adapters.due()) == {f"release:{release.id}", f"deliver:{release.id}"}


def test_a_save_raises_the_version_and_returns_it(store: ReleaseStore) -> None:
    release = saved(store, created(store), phase=Phase.PROGRESSING)
    assert (release.version, store.load(release.id)) == (2, release)


def test_a_save_of_an_old_version_is_refused_and_changes_nothing(store: ReleaseStore) -> None:
    old = created(store)
    new = saved(store, old, phase=Phase.PROGRESSING)
    with pytest.raises(VersionConflict):
        saved(store, old, an_event("never"), phase=Phase.ABORTED)
    assert store.load(old.id) == new
    assert "never" not in texts(store, old)


def test_a_repeated_save_happens_once_and_returns_the_same(store: ReleaseStore) -> None:
    release = created(store)
    first = store.save(release, [an_event("told once")], operation="again")
    second = store.save(release, [an_event("told once")], operation="again")
    assert (second, texts(store, release).count("told once")) == (first, 1)


def test_any_template_survives(store: ReleaseStore) -> None:
    template = a_template() | {
        "numbers": [0, 1.5, -1, 2**40],
        "none": None,
        "text": 'ünïcode "quoted" \\ \n',
        "deep": {"a": [{"b": {}}]},
    }
    release = saved(store, created(store), change=Undo(template=template))
    loaded = store.load(release.id).change
    assert isinstance(loaded, Undo) and loaded.template == template


def test_a_change_keeps_its_kind(store: ReleaseStore) -> None:
    assert isinstance(store.load(created(store).id).change, Deploy)


def test_the_outbox_keeps_the_order_and_counts_on(store: ReleaseStore) -> None:
    release = saved(store, created(store), an_event("one"), an_event("two"))
    saved(store, release, an_event("three"))
    entries = store.outbox(release.id)[0]
    assert [e.event.text for e in entries][1:] == ["one", "two", "three"]
    assert [e.sequence for e in entries] == [1, 2, 3, 4]


def test_each_of_several_equal_events_is_delivered(store: ReleaseStore) -> None:
    release = saved(store, created(store), an_event("again"), an_event("again"))
    assert texts(store, release).count("again") == 2


def test_delivered_events_leave_the_outbox(store: ReleaseStore) -> None:
    release = saved(store, created(store), an_event("one"), an_event("two"))
    store.delivered(release.id, through=2, card_version=None)
    assert texts(store, release) == ["two"]


def test_the_story_of_one_release_is_read_from_any_place(store: ReleaseStore) -> None:
    """By the clock of the store, in which a release is created after it was asked for."""
    release = created(store)
    release = saved(store, release, an_event("one"))
    release = replace(release, created_at=store.now() - 5_000)
    created(store)
    saved(store, release, an_event("two"), an_event("a patch", EventKind.WROTE))
    whole = store.story(release)
    assert [line.text for _, line in whole.lines][1:] == ["one", "two", "a patch"]
    assert whole.is_whole
    first, *rest = whole.lines
    assert store.story(release, after=first[0]).lines == tuple(rest)
    page = store.story(release, limit=3)
    assert not page.is_whole  # the line of the other release counts too
    assert (*page.lines, *store.story(release, after=page.through).lines) == whole.lines
    assert store.story(release, after=whole.through).lines == ()


def test_cluster_writes_are_audited_but_not_delivered(store: ReleaseStore) -> None:
    release = saved(store, created(store), an_event("patched", EventKind.WROTE))
    assert store.audit()[0].text == "patched"
    assert "patched" not in texts(store, release)


def test_a_card_is_dirty_until_it_shows_the_last_version_that_matters(store: ReleaseStore) -> None:
    release = created(store)
    dirt = [store.outbox(release.id)[1]]
    store.delivered(release.id, through=0, card_version=release.version)
    dirt.append(store.outbox(release.id)[1])
    quiet = saved(store, release, card=False)
    dirt.append(store.outbox(release.id)[1])
    loud = saved(store, quiet)
    store.delivered(release.id, through=0, card_version=quiet.version)
    dirt.append(store.outbox(release.id)[1])
    store.delivered(release.id, through=0, card_version=loud.version)
    dirt.append(store.outbox(release.id)[1])
    assert dirt == [True, False, False, True, False]


def test_the_position_of_the_card_does_not_change_the_version(store: ReleaseStore) -> None:
    release = created(store)
    assert store.card(release.id) == ("", "")
    store.record_card(release.id, channel="C1", ts="12.34")
    assert store.card(release.id) == ("C1", "12.34")
    loaded = store.load(release.id)
    assert (loaded.version, loaded.card_ts) == (1, "12.34")


def test_a_save_wakes_the_delivery(adapters: Adapters) -> None:
    release = created(adapters.store)
    adapters.forget_wakes()
    saved(adapters.store, release, phase=Phase.PROGRESSING)
    assert adapters.due()[f"deliver:{release.id}"] <= adapters.store.now()


def test_a_waiting_card_is_brought_forward_only_by_an_event(
    adapters: Adapters,
) -> None:
    release = created(adapters.store)
    adapters.store.book_card(release.id, in_ms=20_000)
    adapters.forget_wakes()
    release = saved(adapters.store, release, an_event("patched", EventKind.WROTE))
    assert adapters.due()[f"deliver:{release.id}"] > adapters.store.now() + 10_000
    saved(adapters.store, release, an_event("a step is done"))
    assert adapters.due()[f"deliver:{release.id}"] <= adapters.store.now()


def test_a_save_outside_a_tick_wakes_the_release_within_about_a_second(
    adapters: Adapters,
) -> None:
    release = created(adapters.store)
    adapters.forget_wakes()
    saved(adapters.store, release, phase=Phase.PROGRESSING)
    assert adapters.due()[f"release:{release.id}"] <= adapters.store.now() + 1_000


def test_a_save_that_wakes_does_so_in_the_same_change(adapters: Adapters) -> None:
    release = created(adapters.store)
    adapters.forget_wakes()
    adapters.store.save(release, (), operation="asked", wake=True)
    assert adapters.due()[f"release:{release.id}"] <= adapters.store.now()


def test_a_release_is_current_until_the_next_save(store: ReleaseStore) -> None:
    release = created(store)
    assert store.is_current(release)
    newer = saved(store, release)
    assert (store.is_current(release), store.is_current(newer)) == (False, True)


def test_active_lists_unfinished_releases_oldest_first(store: ReleaseStore) -> None:
    one, two, three = created(store), created(store, "cart"), created(store)
    saved(store, two, phase=Phase.FAILED)
    assert [r.id for r in store.active()] == [one.id, three.id]
    assert store.active_ids() == (one.id, three.id)
    assert [r.id for r in store.active("cart")] == []
    assert [r.id for r in store.active("hello")] == [one.id, three.id]


def test_recent_lists_newest_first_up_to_the_limit(store: ReleaseStore) -> None:
    releases = [created(store) for _ in range(11)]
    created(store, "cart")
    assert [r.id for r in store.recent("hello", limit=3)] == [r.id for r in releases[:-4:-1]]
    assert store.recent(limit=1)[0].id == "cart-1"


def test_a_finished_release_is_not_woken(adapters: Adapters) -> None:
    release = created(adapters.store)
    saved(adapters.store, release, phase=Phase.SUCCEEDED)
    assert f"release:{release.id}" not in adapters.due()


def test_the_newest_finished_releases_are_kept(store: ReleaseStore) -> None:
    for _ in range(KEPT + 2):
        release = created(store)
        store.delivered(release.id, through=99, card_version=1)
        saved(store, release, phase=Phase.SUCCEEDED, card=False)
    assert [r.id for r in store.recent()] == ["hello-5", "hello-4", "hello-3"]


def test_a_release_with_undelivered_events_is_kept(store: ReleaseStore) -> None:
    releases = [created(store) for _ in range(KEPT + 1)]
    for release in releases:
        saved(store, release, phase=Phase.SUCCEEDED)
    assert store.load(releases[0].id).phase is Phase.SUCCEEDED


def test_reconcile_wakes_releases_without_a_wake(adapters: Adapters) -> None:
    running, over = created(adapters.store), created(adapters.store)
    saved(adapters.store, over, phase=Phase.FAILED)
    adapters.forget_wakes()
    adapters.store.reconcile()
    assert set(adapters.due()) == {
        f"release:{running.id}",
        f"deliver:{running.id}",
        f"deliver:{over.id}",
    }


def test_reconcile_leaves_healthy_releases_alone(adapters: Adapters) -> None:
    created(adapters.store)
    planned = adapters.due()
    assert adapters.store.reconcile() == ()
    assert adapters.due() == planned


def test_a_card_with_its_own_turn_is_woken_by_events_only(
    adapters: Adapters,
) -> None:
    release = created(adapters.store)
    adapters.store.book_card(release.id, in_ms=30_000)
    adapters.forget_wakes()
    moved = saved(adapters.store, release)
    assert adapters.due()[f"deliver:{release.id}"] > adapters.store.now() + 25_000
    saved(adapters.store, moved, an_event())
    assert adapters.due()[f"deliver:{release.id}"] <= adapters.store.now()


def test_a_release_that_ends_does_not_wait_for_its_cards_turn(adapters: Adapters) -> None:
    release = created(adapters.store)
    adapters.store.book_card(release.id, in_ms=30_000)
    adapters.forget_wakes()
    saved(adapters.store, release, phase=Phase.SUCCEEDED)
    assert adapters.due()[f"deliver:{release.id}"] <= adapters.store.now()


def test_requests_to_start_wait_in_their_order_until_answered(adapters: Adapters) -> None:
    store = adapters.store
    for request in ("first", "second"):
        store.ask_to_start("hello", request, operation=next(_operations))
    assert store.next_to_start("hello") == "first"
    store.start_answered("hello", "first", operation=next(_operations))
    assert store.next_to_start("hello") == "second"
    assert store.next_to_start("cart") is None


def test_a_request_to_start_that_is_sent_again_waits_once(adapters: Adapters) -> None:
    store = adapters.store
    for _ in range(2):
        store.ask_to_start("hello", "first", operation="the same")
    for _ in range(2):
        store.start_answered("hello", "first", operation="also the same")
    assert store.next_to_start("hello") is None


def test_releases_of_one_cluster_are_found_among_those_of_others(store: ReleaseStore) -> None:
    in_eu = created(store, cluster="eu")
    in_us = [created(store, cluster="us") for _ in range(25)]
    assert store.active("hello", "eu") == (in_eu,)
    assert store.recent("hello", "eu", limit=1) == (in_eu,)
    assert store.recent("hello", "us", limit=2) == (in_us[-1], in_us[-2])
    assert store.recent("hello", "elsewhere") == ()
    assert len(store.active("hello")) == 26
