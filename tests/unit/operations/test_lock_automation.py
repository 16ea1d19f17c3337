"""A release that rolls back by itself locks its app for machines, until a person clears it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from bot.commands.model import ClearCommand
from bot.operations.context import App, Catalog, Context
from bot.operations.lifecycle.known_templates import templates_key
from bot.operations.lifecycle.lock_automation import lock_automation
from bot.operations.queries.clear_lock import clear_lock
from bot.operations.queries.run_query import run_query
from bot.operations.replies import Refusal, Reply, TextReply
from bot.policy.automation import LOCKS_KEPT, AutomationLock, with_lock
from bot.policy.callers import Caller
from bot.policy.permissions import Access, Grant, Role
from bot.releases.engine.decision import Decision
from bot.releases.engine.outcome import RollBack
from bot.releases.engine.transitions import roll_back
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import (
    ADMIN,
    DEVELOPER,
    T0,
    a_deployment,
    a_query,
    a_replica_set,
    a_target,
    a_template,
    an_observation,
)
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger
from tests.transitions.ticks import half_rolled, rolling
from tests.unit.operations.test_answer_start import SimulatedView

CI = Caller("ci", frozenset({"hello"}), may_start=True)
V1, V2 = a_template("1.0.0"), a_template("2.0.0")
KEY = templates_key("uid-cluster", "default", "hello")
FAILED = Cause(FailureClass.PERSISTENT, "3 pods crashed.")


@pytest.fixture
def store() -> InMemoryReleaseStore:
    return InMemoryReleaseStore(clock=lambda: T0)


@pytest.fixture
def view() -> SimulatedView:
    sets = (
        a_replica_set("hello-2", V2, revision=2, pods=()),
        a_replica_set("hello-1", V1, revision=1, pods=()),
    )
    return SimulatedView(an_observation(a_deployment(template=V1, replica_sets=sets)))


@pytest.fixture
def context(store: InMemoryReleaseStore, view: SimulatedView) -> Context:
    unused = cast(Any, None)
    app = App(a_target(), Rules(), "C0RELEASES", Strategy.ROLLING)
    roles = {Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user}))}
    catalog = Catalog({"hello": app}, ("local",), Access(roles=roles), callers={"ci": CI})
    return Context(
        store,
        store.queue,
        cast(Any, {"local": view}),
        RecordingMessenger(),
        InMemoryDirectory(),
        catalog,
        SlackRendering(),
        unused,
    )


def running() -> Release:
    return replace(rolling(), to_version="2.0.0")


def back(before: Release, cause: Cause = FAILED, ends_as: Phase = Phase.ROLLED_BACK) -> Decision:
    return roll_back(RollBack(Decision(before), cause, ends_as), half_rolled(), T0)


def locks(store: InMemoryReleaseStore) -> list[str]:
    return [one.line for one in store.automation_locks("hello", "local")]


def test_a_rollback_that_nobody_asked_for_locks_its_app_and_says_so(
    store: InMemoryReleaseStore, context: Context
) -> None:
    before = running()
    for _ in range(2):  # its process ended before the save
        decision = lock_automation(context, before, back(before))
        assert locks(store) == ["2.0.0 failed in hello-42: 3 pods crashed."]
    assert [event.text for event in decision.events if "rolling back" in event.text] == [
        (
            "rolling back: 3 pods crashed. Machines may not release hello until a person clears it:"
            ' /pilothouse clear hello reason="…"'
        )
    ]


def test_a_lock_that_was_cleared_stays_so_while_the_rollback_goes_on(
    store: InMemoryReleaseStore, context: Context
) -> None:
    before = running()
    decision = lock_automation(context, before, back(before))
    clear(context)
    lock_automation(context, decision.release, Decision(decision.release))
    assert locks(store) == []


@pytest.mark.parametrize(
    ("cause", "ends_as"),
    [
        (Cause(FailureClass.REQUEST, "asked for"), Phase.ABORTED),
        (Cause(FailureClass.REQUEST, "blue is back"), Phase.ROLLED_BACK),
        (Cause(FailureClass.DEADLINE, "nobody approved it in time"), Phase.EXPIRED),
    ],
)
def test_what_a_person_ends_or_leaves_locks_nothing(
    store: InMemoryReleaseStore, context: Context, cause: Cause, ends_as: Phase
) -> None:
    before = running()
    decision = back(before, cause, ends_as)
    assert lock_automation(context, before, decision) == decision
    assert locks(store) == []


@pytest.mark.parametrize(
    "callers",
    [{}, {"ci": replace(CI, may_start=False)}, {"ci": replace(CI, apps=frozenset({"auth"}))}],
    ids=["none", "one that reads", "one of another app"],
)
def test_without_a_machine_that_releases_the_app_there_is_no_lock(
    store: InMemoryReleaseStore, context: Context, callers: dict[str, Caller]
) -> None:
    context = replace(context, catalog=replace(context.catalog, callers=callers))
    before = running()
    decision = back(before)
    assert lock_automation(context, before, decision) == decision
    assert locks(store) == []


def test_an_app_keeps_one_lock_a_version_and_the_newest_of_many() -> None:
    found: tuple[AutomationLock, ...] = ()
    for number in range(LOCKS_KEPT + 5):
        for _ in range(2):
            found = with_lock(found, AutomationLock(f"{number}", f"hello-{number}", "bad", number))
    assert [one.version for one in found] == [f"{n}" for n in range(5, LOCKS_KEPT + 5)]


# --- clearing -------------------------------------------------------------------------------------


def clear(context: Context, version: str = "", **parts: Any) -> Reply:
    command = ClearCommand("hello", version, "the database was full")
    return clear_lock(context, a_query(command, **parts), command)


def lock(store: InMemoryReleaseStore, *versions: str) -> None:
    failed = tuple(AutomationLock(v, f"hello-{n}", "bad", T0) for n, v in enumerate(versions))
    assert store.change_automation_locks("hello", "local", (), failed)


def test_a_person_clears_all_versions_of_an_app(
    store: InMemoryReleaseStore, context: Context
) -> None:
    lock(store, "2.0.0", "2.0.1")
    reply = clear(context)
    assert reply == TextReply("hello is cleared for machines: the database was full")
    assert locks(store) == []
    (line,) = (one for one in store.audit() if one.kind == "cleared")
    assert (line.by, line.text) == (DEVELOPER.user, "hello: the database was full")


def test_a_person_clears_one_version_and_reads_what_is_left(
    store: InMemoryReleaseStore, context: Context
) -> None:
    lock(store, "2.0.0", "2.0.1")
    reply = clear(context, "2.0.0")
    assert isinstance(reply, TextReply) and reply.line == (
        "2.0.0 of hello is cleared for machines: the database was full."
        " Still locked: 2.0.1 failed in hello-1: bad"
    )
    assert locks(store) == ["2.0.1 failed in hello-1: bad"]


def test_what_is_not_locked_is_not_cleared(store: InMemoryReleaseStore, context: Context) -> None:
    assert clear(context) == Refusal("hello is neither locked for machines nor marked bad.")
    lock(store, "2.0.0")
    assert clear(context, "3.0.0") == Refusal(
        "3.0.0 of hello is neither locked for machines nor marked bad.",
        "Of hello, 2.0.0 may be cleared.",
    )
    assert len(locks(store)) == 1


def test_whoever_lost_the_role_since_it_was_typed_clears_nothing(
    store: InMemoryReleaseStore, context: Context
) -> None:
    lock(store, "2.0.0")
    reply = clear(context, asker=ADMIN)
    assert isinstance(reply, Refusal) and "You need the deployer" in reply.line
    assert len(locks(store)) == 1


def mark(store: InMemoryReleaseStore, template: Any = V2, release_id: str = "hello-7") -> None:
    store.remember_bad(KEY, template, version="2.0.0", why="crashed", release_id=release_id)


@pytest.mark.parametrize("version", ["", "2.0.0"])
def test_clearing_takes_the_bad_mark_with_the_lock(
    store: InMemoryReleaseStore, context: Context, version: str
) -> None:
    lock(store, "2.0.0")
    mark(store)
    reply = clear(context, version)
    assert isinstance(reply, TextReply) and "is cleared for machines: the database" in reply.line
    assert locks(store) == [] and store.verdict_on(KEY, V2) == ("", "", "")


def test_a_version_that_is_only_marked_bad_is_cleared_with_a_line_in_the_audit(
    store: InMemoryReleaseStore, context: Context
) -> None:
    mark(store)
    assert clear(context, "2.0.0") == TextReply(
        "2.0.0 of hello is no longer marked bad: the database was full"
    )
    assert store.verdict_on(KEY, V2) == ("", "", "")
    (line,) = (one for one in store.audit() if one.kind == "cleared")
    assert (line.by, line.release_id) == (DEVELOPER.user, "hello-7")
    assert isinstance(clear(context, "2.0.0"), Refusal)


def test_marks_of_other_versions_and_of_other_apps_stay(
    store: InMemoryReleaseStore, context: Context
) -> None:
    mark(store)
    mark(store, V1, "auth-3")  # of another container of the Deployment
    assert isinstance(clear(context, "3.0.0"), Refusal)
    assert store.verdict_on(KEY, V2)[0] == "bad"
    clear(context)
    assert store.verdict_on(KEY, V1)[0] == "bad" and store.verdict_on(KEY, V2)[0] == ""


def test_what_a_person_undid_is_no_bad_mark(store: InMemoryReleaseStore, context: Context) -> None:
    store.remember_left(KEY, V2, version="2.0.0", why="undone by Ada", release_id="hello-7")
    assert isinstance(clear(context, "2.0.0"), Refusal)
    assert store.verdict_on(KEY, V2)[0] == "left"


def test_a_lock_is_cleared_while_the_cluster_is_away_and_the_marks_are_not(
    store: InMemoryReleaseStore, context: Context, view: SimulatedView
) -> None:
    lock(store, "2.0.0")
    mark(store)
    view.away = "connection refused"
    reply = clear(context)
    away = "marks stay while local is unreachable (connection refused): clear it again."
    assert isinstance(reply, TextReply) and away in reply.line
    assert locks(store) == [] and store.verdict_on(KEY, V2)[0] == "bad"
    refused = clear(context)
    assert isinstance(refused, Refusal) and away in refused.hint


class StoreWithVisitor(InMemoryReleaseStore):
    """Another version fails after the locks were read."""

    visited = True

    def automation_locks(self, app: str, cluster: str) -> tuple[AutomationLock, ...]:
        found = super().automation_locks(app, cluster)
        if not self.visited:
            self.visited = True
            late = AutomationLock("2.0.1", "hello-9", "late", T0)
            assert self.change_automation_locks(app, cluster, found, with_lock(found, late))
        return found


def test_a_version_that_fails_meanwhile_is_not_cleared_unseen(context: Context) -> None:
    store = StoreWithVisitor(clock=lambda: T0)
    lock(store, "2.0.0")
    store.visited = False
    reply = clear(replace(context, store=store), "2.0.0")
    assert isinstance(reply, TextReply)
    assert locks(store) == ["2.0.1 failed in hello-9: late"]


def test_everyone_in_the_channel_reads_that_machines_may_release_again(
    store: InMemoryReleaseStore, context: Context
) -> None:
    lock(store, "2.0.0")
    run_query(context, a_query(ClearCommand("hello", "", "fixed")))
    messenger = cast(RecordingMessenger, context.messenger)
    assert [sent.message.text for sent in messenger.sent] == [
        "hello is cleared for machines: fixed"
    ]
