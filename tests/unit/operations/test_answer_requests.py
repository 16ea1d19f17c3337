"""What people ask of a release takes effect once Slack has said again that they may; what makes
production safer does not wait for Slack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.access.roles import READING, fresh_roles, known_roles
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.operations.replies import TextReply
from bot.policy.permissions import Grant, PersonKind, Role
from bot.releases.facts.changes import Restart, Undo
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Pause, PersonsRequest, Resume
from tests.builders import DEVELOPER
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.unit.operations.test_advance_release import Scene, scene

__all__ = ["scene"]
DAY = 86_400_000


@pytest.fixture
def office(scene: Scene) -> Scene:
    """Its deployers are a group of Slack; the release rolls."""
    directory_of(scene).members["S0DEV"] = frozenset({DEVELOPER.user})
    roles = scene.context.catalog.access.roles
    roles[Role.DEPLOYER] = Grant(groups=frozenset({"S0DEV"}))  # type: ignore[index]
    advance_release(scene.context, scene.id)
    assert scene.store.load(scene.id).phase is Phase.PROGRESSING
    return scene


def directory_of(scene: Scene) -> InMemoryDirectory:
    directory = scene.context.directory
    assert isinstance(directory, InMemoryDirectory)
    return directory


def asked(scene: Scene, request: PersonsRequest) -> Release:
    """Asked a minute later, and advanced by a worker."""
    scene.clock.now += 60_000
    assert isinstance(control_release(scene.context, scene.id, request, "done"), TextReply)
    advance_release(scene.context, scene.id)
    return scene.store.load(scene.id)


def told(scene: Scene) -> list[str]:
    return [line.text for line in scene.store.audit()]


@pytest.mark.parametrize("request_", [Abort(DEVELOPER, reason="errors"), Pause(DEVELOPER)])
def test_a_bad_release_is_stopped_while_slack_is_away(
    office: Scene, request_: PersonsRequest
) -> None:
    directory_of(office).away = True
    release = asked(office, request_)
    assert release.phase in (Phase.ROLLING_BACK, Phase.ABORTED, Phase.PAUSED)
    assert release.cause is not None and "Z; Slack did not answer)" in release.cause.summary
    assert any("by the memberships of" in line for line in told(office))


def test_the_bot_knows_the_last_memberships_without_having_read_them(office: Scene) -> None:
    directory = directory_of(office)
    directory.away, directory.known = True, {}
    assert known_roles(office.context, DEVELOPER) == {Role.DEPLOYER}


def test_memberships_older_than_a_day_stop_nothing(office: Scene) -> None:
    directory_of(office).away = True
    office.clock.now += DAY
    asked(office, Abort(DEVELOPER))
    dropped = "abort by developer was not carried out: You need the deployer"
    assert any(line.startswith(dropped) for line in told(office))


def test_slack_is_asked_again_before_an_abort(office: Scene) -> None:
    directory_of(office).members["S0DEV"] = frozenset()
    assert asked(office, Abort(DEVELOPER)).phase is Phase.PROGRESSING
    assert "abort by developer was not carried out: You need the deployer" in told(office)[0]


@pytest.mark.parametrize("kind", [PersonKind.DEACTIVATED, PersonKind.UNKNOWN, PersonKind.STRANGER])
def test_no_member_aborts(office: Scene, kind: PersonKind) -> None:
    directory_of(office).kinds[DEVELOPER.user] = kind
    assert asked(office, Abort(DEVELOPER)).phase is Phase.PROGRESSING


def test_a_person_who_left_does_not_resume(office: Scene) -> None:
    asked(office, Pause(DEVELOPER))
    directory_of(office).members["S0DEV"] = frozenset()
    assert asked(office, Resume(DEVELOPER)).phase is Phase.PAUSED
    assert "resume by developer was not carried out: You need" in told(office)[0]


def test_a_resume_waits_for_slack(office: Scene) -> None:
    asked(office, Pause(DEVELOPER))
    directory_of(office).away = True
    assert asked(office, Resume(DEVELOPER)).phase is Phase.PAUSED
    assert "waiting for Slack" in office.said()
    directory_of(office).away = False
    advance_release(office.context, office.id)
    assert office.store.load(office.id).phase is not Phase.PAUSED


def test_a_resume_is_dropped_where_slack_stays_away(office: Scene) -> None:
    asked(office, Pause(DEVELOPER))
    directory_of(office).away = True
    assert asked(office, Resume(DEVELOPER)).asked
    office.clock.now += 300_000
    advance_release(office.context, office.id)
    release = office.store.load(office.id)
    assert release.phase is Phase.PAUSED and not release.asked
    assert "resume by developer was not carried out: Slack did not say" in told(office)[0]


def test_a_late_resume_does_not_end_another_pause(office: Scene) -> None:
    asked(office, Pause(DEVELOPER))
    directory_of(office).away = True
    asked(office, Resume(DEVELOPER))
    release = office.store.load(office.id)
    office.store.save(replace(release, phase_since=release.phase_since + 1), (), operation="again")
    directory_of(office).away = False
    advance_release(office.context, office.id)
    assert office.store.load(office.id).phase is Phase.PAUSED


def test_an_abort_waits_briefly_while_another_process_reads_the_groups(office: Scene) -> None:
    office.store.put(READING, "another", ttl_ms=120_000)
    office.clock.now += 10_000
    control_release(office.context, office.id, Abort(DEVELOPER), "done")
    assert advance_release(office.context, office.id) == office.store.now() + 500
    office.clock.now += 5_000
    advance_release(office.context, office.id)
    assert office.store.load(office.id).rollback is not None


def test_a_waiting_release_is_aborted_before_its_turn(scene: Scene) -> None:
    fresh_roles(scene.context, DEVELOPER)
    directory_of(scene).away = True
    assert asked(scene, Abort(DEVELOPER)).phase is Phase.ABORTED


@pytest.mark.parametrize(("change", "starts"), [(Undo(), True), (Restart(), False)])
def test_an_undo_starts_while_slack_is_away(scene: Scene, change: Undo, starts: bool) -> None:
    fresh_roles(scene.context, DEVELOPER)
    scene.clock.now += 60_000
    directory_of(scene).away = True
    release = scene.store.load(scene.id)
    scene.store.save(replace(release, change=change), (), operation="another change")
    advance_release(scene.context, scene.id)
    release = scene.store.load(scene.id)
    assert (release.phase is not Phase.QUEUED) == starts
    assert ("Slack did not answer" in release.reason) == starts


def test_a_guest_is_known_as_one_while_slack_is_away(scene: Scene) -> None:
    guest = Person("T1", "U0GUEST", "guest")
    roles = scene.context.catalog.access.roles
    roles[Role.DEPLOYER] = Grant(everyone=True)  # type: ignore[index]
    directory_of(scene).kinds[guest.user] = PersonKind.GUEST
    fresh_roles(scene.context, guest)
    directory_of(scene).away = True
    assert known_roles(scene.context, guest) == frozenset()
    assert asked(scene, Abort(guest)).phase is Phase.QUEUED
