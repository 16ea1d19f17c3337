"""A request to start a release, before it has an id: it becomes a release, or its starter alone
reads why not and what works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from bot.commands.model import DeployCommand
from bot.operations.access.roles import fresh_roles
from bot.operations.context import App, Catalog, Context
from bot.operations.intake.handle_command import handle_command
from bot.operations.queries.plan_release import plan_release
from bot.operations.replies import Pending, Receipt, Refusal
from bot.operations.requests import Invocation
from bot.operations.starts.answer_start import answer_start
from bot.policy.freezes import Freeze
from bot.policy.permissions import Access, Grant, Role
from bot.ports import WORKER_ALIVE, Cluster, ClusterUnreachable
from bot.releases.facts.observation import CLAIM_ANNOTATION, Observation
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import (
    DEVELOPER,
    a_deployment,
    a_release,
    a_target,
    an_observation,
)
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

EVERYONE = Access(roles={Role.DEPLOYER: Grant(everyone=True), Role.VIEWER: Grant(everyone=True)})


@dataclass
class SimulatedView:
    """A cluster that shows one observation, or does not answer."""

    seen: Observation
    away: str = ""
    observed: int = 0

    def observe(self, target: Target, **what: str | bool) -> Observation:
        self.observed += 1
        if self.away:
            raise ClusterUnreachable(self.away)
        return self.seen

    def observe_apps(self, targets: Sequence[Target]) -> dict[str, Observation]:
        return {one.app: self.observe(one) for one in targets}


@dataclass
class Desk:
    cluster: SimulatedView = field(default_factory=lambda: SimulatedView(an_observation()))
    target: Target = field(default_factory=a_target)
    access: Access = EVERYONE
    directory: InMemoryDirectory = field(default_factory=InMemoryDirectory)

    def __post_init__(self) -> None:
        self.store, self.messenger = InMemoryReleaseStore(), RecordingMessenger()
        app = App(self.target, Rules(), "C0RELEASES", Strategy.ROLLING)
        self.context = Context(
            self.store,
            self.store.queue,
            cast(Any, {"local": cast(Cluster, self.cluster)}),
            self.messenger,
            self.directory,
            Catalog({"hello": app}, ("local",), self.access),
            SlackRendering(("hello",)),
            cast(Any, None),
        )
        # A desk may stand a minute before its test begins: it is made when the tests are collected.
        self.store.put(WORKER_ALIVE, "1", ttl_ms=3_600_000)

    def type(self, text: str, key: str = "") -> object:
        typed = Invocation(DEVELOPER, "C0RELEASES", text, "/deploy", key or f"command:{text}")
        return handle_command(self.context, typed)

    def read(self) -> str:
        """What the person reads once a worker has answered all there is."""
        while answer_start(self.context, "hello").again_at is not None:
            pass
        return "\n".join(f"{one.how}: {one.message.text}" for one in self.messenger.sent)

    def buttons(self) -> list[str]:
        blocks = [block for one in self.messenger.sent for block in one.message.blocks]
        return [e["text"]["text"] for b in blocks for e in b.get("elements", ()) if "text" in e]


def test_a_request_that_can_start_becomes_a_release() -> None:
    desk = Desk()
    assert desk.type("deploy hello 2.0.0") == Pending()
    assert not desk.store.active()
    assert "post_privately: hello → 2.0.0 rolling: started as hello-1" in desk.read()
    assert [release.id for release in desk.store.active()] == ["hello-1"]


def test_the_first_tick_finds_the_roles_read() -> None:
    """Slack is read while the cluster is observed, not once more before the first write."""
    by_group = Access(roles={Role.DEPLOYER: Grant(groups=frozenset({"S0DEV"}))})
    desk = Desk(access=by_group)
    desk.directory.members["S0DEV"] = frozenset({DEVELOPER.user})
    desk.directory.known = dict(desk.directory.members)
    desk.type("deploy hello 2.0.0")
    desk.read()
    assert desk.directory.asked == 1
    assert fresh_roles(desk.context, DEVELOPER) == {Role.DEPLOYER}
    assert desk.directory.asked == 1


def test_a_release_starts_while_slack_is_away() -> None:
    desk = Desk()
    desk.type("deploy hello 2.0.0")
    desk.directory.away = True
    assert "started as hello-1" in desk.read()


REFUSED = {
    "the same version": (
        Desk(),
        "deploy hello 1.0.0",
        "hello already runs 1.0.0",
        ["Restart it"],
    ),
    "the replicas of now": (Desk(), "scale hello 3", "hello already has 3 replicas", []),
    "too few replicas for the steps": (
        Desk(),
        "deploy hello 2.0.0 canary steps=10,20,30,40 hold=5s sticky",
        "hello has 3 replicas and at most 3 candidates: 25%, 40%, 50% are possible",
        ["steps=25,40,50"],
    ),
    "typed steps that a single replica cannot tell apart": (
        Desk(SimulatedView(an_observation(a_deployment(replicas=1)))),
        "deploy hello 2.0.0 canary steps=20,50",
        "hello has 1 replica and at most 1 candidate: 50% is possible",
        ["steps=50"],
    ),
    "no Deployment": (
        Desk(SimulatedView(replace(an_observation(), stable=None))),
        "deploy hello 2.0.0",
        "There is no Deployment `hello`",
        [],
    ),
    "no such container": (
        Desk(target=a_target(container="web")),
        "deploy hello 2.0.0",
        "hello has no container `web`, only hello",
        [],
    ),
    "no value for the version label": (
        Desk(target=a_target(version_label="version")),
        f"deploy hello {'a' * 70}",
        "cannot be the value of the label version",
        [],
    ),
    "managed elsewhere": (
        Desk(
            SimulatedView(
                an_observation(a_deployment(annotations={"meta.helm.sh/release-name": "hello"}))
            )
        ),
        "deploy hello 2.0.0",
        "hello is managed elsewhere: Helm",
        [],
    ),
    "a paused Deployment": (
        Desk(SimulatedView(an_observation(a_deployment(paused=True)))),
        "rollout restart hello",
        "hello is paused. Resume it first",
        ["Resume it"],
    ),
    "nothing to undo": (Desk(), "rollout undo hello", "no earlier revision to undo to", []),
}


@pytest.mark.parametrize(("desk", "typed", "why", "instead"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_start_is_refused_privately_before_it_has_an_id(
    desk: Desk, typed: str, why: str, instead: list[str]
) -> None:
    assert desk.type(typed) == Pending()
    assert why in desk.read()
    assert [one.how for one in desk.messenger.sent] == ["post_privately"]
    assert desk.buttons() == instead
    assert not desk.store.recent()


def test_what_needs_no_cluster_is_refused_at_once() -> None:
    desk = Desk()
    desk.store.change_freeze("all", None, Freeze("all", "month end", DEVELOPER, 1, None))
    assert isinstance(desk.type("deploy hello 2.0.0"), Refusal)
    assert desk.store.next_to_start("hello") is None


def test_a_freeze_that_begins_meanwhile_refuses_privately() -> None:
    desk = Desk()
    desk.type("deploy hello 2.0.0")
    desk.store.change_freeze("all", None, Freeze("all", "month end", DEVELOPER, 1, None))
    assert "month end" in desk.read()
    assert not desk.store.recent()


def test_an_app_that_left_the_catalog_meanwhile_is_refused_privately() -> None:
    desk = Desk()
    desk.type("deploy hello 2.0.0")
    desk.context = replace(desk.context, catalog=replace(desk.context.catalog, apps={}))
    assert "The catalog no longer has the app" in desk.read()


def test_a_cluster_that_is_away_stops_no_request() -> None:
    desk = Desk()
    desk.cluster.away = "no answer"
    desk.type("deploy hello 1.0.0")
    assert "started as hello-1" in desk.read()


def test_nothing_is_predicted_while_another_release_runs() -> None:
    desk = Desk()
    desk.store.create(a_release(), dedup_key="", same_as="", operation="first")
    desk.type("deploy hello 1.0.0")
    assert "started as hello-2" in desk.read()


def test_what_the_check_observed_is_handed_to_the_first_tick() -> None:
    desk = Desk()
    desk.type("deploy hello 2.0.0")
    answered = answer_start(desk.context, "hello")
    assert answered.begun is not None
    release_id, draft = answered.begun
    assert (
        draft.fits(desk.store.load(release_id), desk.context.runtime.monotonic())
        and draft.seen == desk.cluster.seen
    )
    assert desk.store.queue.due[f"release:{release_id}"] > desk.store.now()


def test_nothing_is_handed_on_for_a_release_that_already_runs() -> None:
    desk = Desk()
    for key in ("command:1", "command:2"):
        desk.type("deploy hello 2.0.0", key)
    assert answer_start(desk.context, "hello").begun is not None
    assert answer_start(desk.context, "hello").begun is None


def test_requests_start_in_the_order_in_which_they_came() -> None:
    desk = Desk()
    for version in ("2.0.0", "3.0.0", "4.0.0"):
        desk.type(f"deploy hello {version}")
    desk.read()
    assert [one.to_version for one in desk.store.active()] == ["2.0.0", "3.0.0", "4.0.0"]


def test_the_same_version_typed_twice_at_once_starts_one_release() -> None:
    desk = Desk()
    desk.type("deploy hello 2.0.0", "command:1")
    desk.type("deploy hello 2.0.0", "command:2")
    assert "already runs as hello-1" in desk.read()
    assert len(desk.store.recent()) == 1


def test_a_worker_that_died_before_it_answered_starts_one_release() -> None:
    desk = Desk()
    desk.type("deploy hello 2.0.0")
    waiting = desk.store.next_to_start("hello")
    answer_start(desk.context, "hello")
    assert waiting is not None
    desk.store.ask_to_start("hello", waiting, operation="as it was before the answer")
    desk.read()
    assert len(desk.store.recent()) == 1


def test_without_a_worker_the_release_waits_with_its_id() -> None:
    desk = Desk()
    desk.store.take(WORKER_ALIVE)
    assert isinstance(desk.type("deploy hello 2.0.0"), Receipt)


# --- a plan beside a release that runs ------------------------------------------------------------


BUSY = "hello-1 is running. This release would wait for it, and is planned as it starts."


def test_a_dry_run_beside_a_running_release_names_it() -> None:
    """Its claim on the Deployment is not another installation's."""
    desk = Desk()
    desk.type("deploy hello 2.0.0")
    desk.read()
    claimed = replace(a_deployment(), annotations={CLAIM_ANNOTATION: "hello-1"})
    desk.cluster.seen = replace(desk.cluster.seen, stable=claimed)
    app, command = desk.context.catalog.apps["hello"], DeployCommand("hello", "3.0.0")
    assert plan_release(desk.context, app, command, by=DEVELOPER, text="") == Refusal(BUSY)
