"""A fleet release as operations keep it: what starts it, what stands behind it, and that an order
that is given twice begins one part."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from bot.operations.context import Context
from bot.operations.lifecycle.advance_fleet import advance_fleet, carry_out
from bot.operations.lifecycle.stand_in_line import fleet_locks, lock_keys, wait_for_locks
from bot.operations.replies import DocumentReply, Receipt, Refusal, Reply
from bot.policy.freezes import Freeze
from bot.releases.facts.changes import Deploy, Undo
from bot.releases.facts.fleet import Wave
from bot.releases.facts.release import Phase, Release
from bot.releases.fleet.observed import Begin
from bot.releases.fleet.state import fleet_of
from tests.builders import DEVELOPER, a_release
from tests.unit.operations.test_two_clusters import Fleet

WAVES = (Wave(("eu",)), Wave(("us",), unreachable="skip"))


@pytest.fixture
def fleet() -> Fleet:
    found = Fleet()
    catalog = replace(found.context.catalog, waves={"hello": WAVES})
    found.context = replace(found.context, catalog=catalog)
    return found


def started(fleet: Fleet, version: str = "8.0.0") -> Release:
    reply = fleet.type(f"deploy hello {version}")
    assert isinstance(reply, Receipt), reply
    return reply.release


def line_of(context: Context, release: Release, keys: tuple[str, ...]) -> str:
    wait_for_locks(context, release, keys)
    return context.store.load(release.id).queued_behind


def another(fleet: Fleet, number: int, change: Deploy | Undo, **facts: object) -> Release:
    target = fleet.context.catalog.named("hello", "eu").target
    draft = replace(a_release(change), id="", target=target, **facts)  # type: ignore[arg-type]
    return fleet.store.create(
        draft, dedup_key="", same_as="", operation=f"another {number}"
    ).release


def test_a_deploy_without_a_cluster_starts_one_parent_and_nothing_else(fleet: Fleet) -> None:
    release = started(fleet)
    assert [one.id for one in fleet.store.active()] == [release.id]
    assert release.target.clusters == ("eu", "us") and release.target.cluster == ""
    assert fleet_of(release).waves == WAVES
    again = fleet.type("deploy hello 8.0.0")
    assert isinstance(again, Receipt) and again.release.id == release.id


def test_a_dry_run_shows_order_and_way_back_and_starts_nothing(fleet: Fleet) -> None:
    reply = cast(DocumentReply, fleet.type("deploy hello 8.0.0 dry-run"))
    assert reply.text.split("\n") == [
        "wave 1: eu",
        "wave 2: us, unreachable: skip",
        "way back: us, then eu; without holds and approvals",
        "Each part is planned as it begins.",
    ]
    assert not fleet.store.recent()


def test_what_one_cluster_refuses_starts_nowhere(fleet: Fleet) -> None:
    frozen = Freeze("cluster:us", "incident", DEVELOPER, 0, fleet.store.now() + 3_600_000)
    fleet.store.change_freeze("cluster:us", None, frozen)
    reply: Reply = fleet.type("deploy hello 8.0.0")
    assert isinstance(reply, Refusal) and reply.line.startswith("us: ")
    assert not fleet.store.recent()


def test_a_release_of_one_cluster_stands_behind_the_fleet(fleet: Fleet) -> None:
    release = started(fleet)
    assert line_of(fleet.context, release, fleet_locks(release)) == ""
    single = another(fleet, 1, Deploy("9.0.0"))
    assert line_of(fleet.context, single, lock_keys(single, "uid of eu")) == release.id


@pytest.mark.parametrize("change", [Deploy("8.0.0"), Undo()])
def test_parts_and_ways_back_stand_behind_no_fleet(fleet: Fleet, change: Deploy | Undo) -> None:
    release = started(fleet)
    line_of(fleet.context, release, fleet_locks(release))
    part_of = "" if isinstance(change, Undo) else release.id
    part = another(fleet, 1, change, part_of=part_of)
    assert line_of(fleet.context, part, lock_keys(part, "uid of eu")) == ""


def test_an_order_that_is_given_again_begins_no_second_part(fleet: Fleet) -> None:
    release = started(fleet)
    order = Begin("eu", Deploy("8.0.0"))
    carry_out(fleet.context, release, (order,))
    first = fleet_of(fleet.store.load(release.id)).part("eu").release
    # the worker died before it saved the part's id: the record is as it was
    lost = fleet.store.load(release.id)
    before = replace(fleet_of(release).part("eu"), release="")
    parts = (before, *fleet_of(release).parts[1:])
    lost = replace(lost, fleet=replace(fleet_of(release), parts=parts))
    carry_out(fleet.context, fleet.store.save(lost, (), operation="lost"), (order,))
    assert fleet_of(fleet.store.load(release.id)).part("eu").release == first
    assert len(fleet.store.active()) == 2
    part = fleet.store.load(first)
    assert (part.part_of, part.requested_by) == (release.id, DEVELOPER)


def test_a_newer_fleet_ends_one_that_only_catches_up_and_names_itself(fleet: Fleet) -> None:
    older = started(fleet)
    late = replace(fleet_of(older), is_catching_up=True)
    caught = replace(older, phase=Phase.PROGRESSING, fleet=late)
    fleet.store.save(caught, (), operation="late")
    fleet.store.leave_line(older.id)
    newer = started(fleet, "9.0.0")
    advance_fleet(fleet.context, newer)
    over = fleet.store.load(older.id)
    assert over.phase is Phase.ABORTED and over.cause is not None
    assert f"{newer.id} brings 9.0.0" in over.cause.summary


def test_undo_after_a_fleet_takes_back_what_it_brought(fleet: Fleet) -> None:
    release = started(fleet)
    parts = tuple(replace(one, state="done") for one in fleet_of(release).parts)
    over = replace(
        release,
        phase=Phase.SUCCEEDED,
        from_version="1.0.0",
        fleet=replace(fleet_of(release), parts=parts),
    )
    fleet.store.save(over, (), operation="over")
    reply = fleet.type("rollout undo hello")
    assert isinstance(reply, Receipt)
    assert (reply.release.phase, reply.release.to_version) == (Phase.ROLLING_BACK, "1.0.0")


def test_what_steers_a_rollout_without_a_cluster_means_the_fleet_that_runs(fleet: Fleet) -> None:
    release = started(fleet)
    fleet.type("rollout abort hello")
    (asked,) = fleet.store.load(release.id).asked
    assert asked.request.kind == "abort"
