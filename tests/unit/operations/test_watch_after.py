"""A version that becomes worse after its release succeeded: one loud message with the way back,
whatever ends in between; and what ends the watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest

from bot.operations.lifecycle.begin_watch import begin_watch, watch_key
from bot.operations.lifecycle.known_templates import templates_key
from bot.operations.watching.watch_after import PACE_MS, watch_after
from bot.policy.callers import Caller
from bot.ports import RateLimited, SlackUnavailable
from bot.releases.facts.answers import Cell
from bot.releases.facts.changes import Change, Deploy, Restart, Scale, Undo
from bot.releases.facts.observation import AnswerSeen, DeploymentSeen, PodSeen
from bot.releases.facts.plan import Plan, Probe, Side
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from tests.builders import (
    MINUTE,
    REPOSITORY,
    T0,
    a_container,
    a_deployment,
    a_pod,
    a_release,
    a_replica_set,
    a_template,
    an_observation,
)
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.unit.operations.test_answer_start import Desk, SimulatedView

V1, V2 = a_template("1.0.0"), a_template("2.0.0")
IMAGE = f"{REPOSITORY}:2.0.0"
KEY = templates_key("uid-cluster", "default", "hello")


def pod(number: int, *, ready: bool = True, restarts: int = 0, **facts: Any) -> PodSeen:
    ended: dict[str, Any] = {"last_terminated": "OOMKilled", "exit_code": 137} if restarts else {}
    container = a_container(IMAGE, ready=ready, restarts=restarts, **ended, **facts)
    made = a_pod(f"hello-2-{number}", image=IMAGE, ready=ready)
    return replace(made, containers=(container,))


def on_2(*pods: PodSeen, template: Any = V2, name: str = "hello-2") -> DeploymentSeen:
    sets = (
        a_replica_set(name, template, revision=2, pods=pods, template_hash=name),
        a_replica_set("hello-1", V1, revision=1, pods=()),
    )
    return a_deployment(template=template, replica_sets=sets)


GOOD = on_2(pod(1), pod(2), pod(3))
UNREADY = on_2(pod(1), pod(2, ready=False), pod(3, ready=False))


class SimulatedPods(SimulatedView):
    """Every pod answers alike."""

    outcome: Literal["good", "bad", "lost"] = "good"
    asked = 0

    def sample_pods(
        self, target: Target, pods: Sequence[str], probe: Probe
    ) -> tuple[AnswerSeen, ...]:
        self.asked += len(pods)
        return tuple(AnswerSeen(pod, self.outcome, "it answers 503") for pod in pods)


class Watched(Desk):
    """hello 2.0.0 has just succeeded; 1.0.0 was healthy before."""

    def __init__(
        self, change: Change | None = None, rules: Rules | None = None, **parts: Any
    ) -> None:
        self.pods = SimulatedPods(an_observation(GOOD))
        super().__init__(self.pods)
        self.at = T0
        self.store = InMemoryReleaseStore(clock=lambda: self.at)
        self.context = replace(self.context, store=self.store, queue=self.store.queue)
        draft = a_release(
            change or Deploy("2.0.0"),
            id="",
            channel="C0RELEASES",
            rules=rules or Rules(),
            to_version="2.0.0",
            from_version="1.0.0",
            **parts,
        )
        made = self.store.create(draft, dedup_key="", same_as="", operation="made").release
        self.running, self.id = made, made.id
        over = replace(made, phase=Phase.SUCCEEDED, finished_at=T0)
        begin_watch(self.context, made, over)
        self.over = over
        self.store.remember_healthy(KEY, V1, version="1.0.0", release_id="x")
        self.store.remember_healthy(KEY, V2, version="2.0.0", release_id=self.id)

    def succeed(self) -> None:
        self.store.save(self.over, (), operation="over")

    def tick(self, stable: DeploymentSeen | None = None, after_ms: int = PACE_MS) -> int | None:
        self.at += after_ms
        seen = replace(self.cluster.seen, at=self.at)
        self.cluster.seen = replace(seen, stable=stable) if stable is not None else seen
        return watch_after(self.context, self.id)

    def texts(self) -> list[str]:
        return [one.message.text for one in self.messenger.sent]

    def is_over(self) -> bool:
        return self.store.peek(watch_key(self.id)) is None

    def grow_worse(self) -> str:
        self.tick()
        self.tick(UNREADY)
        self.tick(after_ms=2 * MINUTE)
        (text,) = self.texts()
        return text


@pytest.fixture
def desk() -> Watched:
    made = Watched()
    made.succeed()
    return made


def test_a_version_that_stays_well_is_watched_to_the_end_and_nobody_is_told(desk: Watched) -> None:
    assert desk.tick() == desk.at + PACE_MS
    for _ in range(57):
        assert desk.tick() == desk.at + PACE_MS
    assert desk.tick(after_ms=PACE_MS * 2) is None
    assert desk.is_over() and desk.texts() == []


def test_pods_that_stop_being_ready_are_told_with_before_and_after(desk: Watched) -> None:
    text = desk.grow_worse()
    assert "became worse after it succeeded: only 1 of 3 pods ready for 2 min" in text
    assert "After, on 2.0.0: 1 of 3 pods ready." in text
    assert "hello-2-2 is not ready" in text
    assert "Nothing is rolled back by itself. <@" in text
    assert desk.is_over()


def test_the_button_is_bound_to_the_state_that_was_seen(desk: Watched) -> None:
    desk.grow_worse()
    blocks = desk.messenger.sent[-1].message.blocks
    (button,) = (e for b in blocks for e in b.get("elements", ()) if "value" in e)
    assert button["text"]["text"] == "Roll back to 1.0.0 (1)"
    assert '"plan"' in button["value"] and "confirm" in button


def test_the_version_is_marked_bad(desk: Watched) -> None:
    desk.grow_worse()
    verdict, release_id, why = desk.store.verdict_on(KEY, V2)
    assert (verdict, release_id) == ("bad", desk.id) and "only 1 of 3" in why


def test_machines_are_locked_out_where_there_are_any(desk: Watched) -> None:
    caller = Caller("ci", frozenset({"hello"}), may_start=True)
    catalog = replace(desk.context.catalog, callers={"ci": caller})
    desk.context = replace(desk.context, catalog=catalog)
    assert "Machines may not release it until a person clears it: /pilothouse clear hello" in (
        desk.grow_worse()
    )
    (lock,) = desk.store.automation_locks("hello", "local")
    assert (lock.version, lock.release_id) == ("2.0.0", desk.id)


def test_without_a_machine_nothing_is_locked(desk: Watched) -> None:
    assert "clear" not in desk.grow_worse()
    assert desk.store.automation_locks("hello", "local") == ()


def test_pods_that_recover_in_time_are_no_worsening(desk: Watched) -> None:
    desk.tick()
    for _ in range(3):
        desk.tick(UNREADY, MINUTE)
        desk.tick(UNREADY, MINUTE - 1_000)
        desk.tick(GOOD)
    assert desk.texts() == []


def test_what_the_cluster_takes_is_not_the_versions(desk: Watched) -> None:
    lost = replace(pod(3, ready=False), unschedulable="no node fits")
    desk.tick()
    desk.tick(on_2(pod(1), pod(2), lost))
    desk.tick(after_ms=5 * MINUTE)
    assert desk.texts() == []


@pytest.mark.parametrize(
    ("restarts", "told"), [((1,), False), ((1, 0, 0), False), ((2, 0, 0), True)]
)
def test_restarts_count_from_the_second_for_half_the_pods(
    desk: Watched, restarts: tuple[int, ...], told: bool
) -> None:
    before = (pod(n, restarts=7) for n in range(len(restarts)))
    desk.tick(on_2(*before))  # not since it succeeded
    desk.tick(on_2(*(pod(n, restarts=7 + more) for n, more in enumerate(restarts))))
    assert bool(desk.texts()) is told
    if told:
        assert "2 restarts of 3 pods in 20 s since it succeeded" in desk.texts()[0]
        assert "how they ended: OOMKilled: 2" not in desk.texts()[0]


def test_a_crash_loop_is_told_with_its_cause(desk: Watched) -> None:
    desk.tick()
    ended = {"waiting": "CrashLoopBackOff"}
    desk.tick(on_2(*(pod(n, ready=False, restarts=3, **ended) for n in range(3))), 2 * MINUTE)
    assert "3 of 3 new pods: OOMKilled (hello restarted 3 times" in desk.texts()[0]


# --- answers --------------------------------------------------------------------------------------


def asked_before(*, failures: int = 0, probe: bool = True) -> Watched:
    """Twenty requests to 1.0.0 while both versions were asked."""
    cells = tuple(
        Cell(Side.STABLE, "hello-1-a", T0 - MINUTE + number, 1, int(number < failures))
        for number in range(20)
    )
    asks = Probe("/version", 80, 20)
    plan = Plan(IMAGE, "2.0.0", f"{REPOSITORY}:1.0.0", "1.0.0", (), ())
    made = Watched(plan=replace(plan, probe=asks), reference=cells if probe else ())
    made.succeed()
    made.store.record_card(made.id, channel="C0RELEASES", ts="1.1")
    return made


def watched_to_the_end(desk: Watched) -> None:
    for _ in range(60):
        if desk.tick() is None:
            return
    assert desk.is_over()


def test_answers_that_turn_bad_are_told_as_before_against_after() -> None:
    desk = asked_before()
    desk.pods.outcome = "bad"
    while not desk.texts():
        assert desk.tick() is not None or desk.texts()
        assert desk.at - T0 <= 4 * MINUTE
    (text,) = desk.texts()
    assert "2.0.0 rolling became worse after it succeeded: 100% of" in text
    assert "requests failed on 2.0.0 since it succeeded; 0% of 20 on 1.0.0 before" in text
    assert "it answers 503" in text and "Nothing is rolled back by itself." in text
    assert desk.store.verdict_on(KEY, V2)[0] == "bad" and desk.is_over()


def test_a_watch_that_finds_nothing_says_in_the_thread_what_it_asked() -> None:
    desk = asked_before()
    watched_to_the_end(desk)
    (sent,) = desk.messenger.sent
    assert sent.thread_ts == "1.1" and sent.message.text == (
        "Watched for 10 min after it succeeded: 0% of 118 requests failed on 2.0.0 since it"
        " succeeded; 0% of 20 on 1.0.0 before (/version)"
    )
    assert desk.pods.asked == 118


@pytest.mark.parametrize(
    ("outcome", "failures", "why"),
    [
        ("lost", 0, "the pods' answers do not come through (hello-2-"),
        ("bad", 20, "the version before failed as well: 100% of"),
    ],
)
def test_a_source_that_is_away_is_said_and_is_no_worsening(
    outcome: Literal["bad", "lost"], failures: int, why: str
) -> None:
    desk = asked_before(failures=failures)
    desk.pods.outcome = outcome
    watched_to_the_end(desk)
    (text,) = desk.texts()
    assert text.startswith(f"Watched for 10 min after it succeeded, by pods alone: {why}")


def test_where_the_version_before_was_not_asked_nothing_is_asked_and_that_is_said() -> None:
    desk = asked_before(probe=False)
    desk.pods.outcome = "bad"
    watched_to_the_end(desk)
    assert desk.pods.asked == 0
    (text,) = desk.texts()
    why = "there are no answers of the version before to compare with."
    assert text == f"Watched for 10 min after it succeeded, by pods alone: {why}"


def test_the_end_of_a_watch_is_posted_once_though_slack_was_away() -> None:
    desk = asked_before()
    for _ in range(59):
        desk.tick()
    desk.messenger.refusals += [SlackUnavailable("503"), RateLimited(7_000)]
    assert desk.tick() == desk.at + 5_000
    assert desk.tick() == desk.at + 7_000 and not desk.is_over()
    assert desk.tick() is None and len(desk.texts()) == 1 and desk.is_over()


# --- crashes --------------------------------------------------------------------------------------


def test_a_watch_waits_for_the_save_of_the_success() -> None:
    """The worker died before it."""
    desk = Watched()
    assert desk.tick() == desk.at + 1_000
    assert not desk.is_over() and desk.cluster.observed == 0
    begin_watch(desk.context, desk.running, desk.over)  # the tick that repeats it
    desk.succeed()
    assert "only 1 of 3" in desk.grow_worse()


def test_a_release_that_did_not_succeed_after_all_is_not_watched() -> None:
    desk = Watched()
    desk.store.save(replace(desk.over, phase=Phase.ROLLED_BACK), (), operation="back")
    assert desk.tick() is None and desk.is_over() and desk.cluster.observed == 0


def test_a_worker_that_dies_after_posting_posts_nothing_twice(desk: Watched) -> None:
    desk.tick()
    desk.tick(UNREADY)
    kept = desk.store.peek(watch_key(desk.id))
    desk.tick(after_ms=2 * MINUTE)
    assert kept is not None and len(desk.texts()) == 1
    desk.store.put(watch_key(desk.id), kept, ttl_ms=MINUTE)  # it was not forgotten yet
    desk.tick()
    assert len(desk.texts()) == 1 and desk.is_over()


def test_slack_and_the_cluster_may_be_away(desk: Watched) -> None:
    desk.tick()
    desk.tick(UNREADY)
    desk.cluster.away = "connection refused"
    assert desk.tick(after_ms=MINUTE) is not None
    desk.cluster.away = ""
    desk.messenger.refusals.append(SlackUnavailable("503"))
    assert desk.tick(after_ms=MINUTE) is not None and not desk.is_over()
    desk.tick()
    assert len(desk.texts()) == 1 and desk.is_over()


# --- what ends a watch ----------------------------------------------------------------------------


def test_the_next_release_of_the_app_ends_it(desk: Watched) -> None:
    desk.tick()
    desk.at += 1_000
    draft = a_release(Undo(), id="", channel="C0RELEASES", created_at=desk.at)
    desk.store.create(draft, dedup_key="", same_as="", operation="next")
    assert desk.tick(UNREADY) is None and desk.is_over()


def test_what_someone_rolls_outside_has_its_own_message(desk: Watched) -> None:
    desk.tick()
    assert desk.tick(on_2(pod(1), template=a_template("3.0.0"), name="hello-3")) is None
    assert desk.is_over() and desk.texts() == []


def test_what_was_changed_before_the_first_look_is_not_watched(desk: Watched) -> None:
    assert (
        desk.tick(on_2(pod(1), template=a_template("3.0.0"), name="hello-3")) is None
        and desk.is_over()
    )


def test_a_deployment_that_was_deleted_is_not_watched(desk: Watched) -> None:
    desk.tick()
    desk.cluster.seen = replace(desk.cluster.seen, stable=None)
    assert desk.tick() is None and desk.is_over()


def test_an_app_that_left_the_catalog_is_not_watched(desk: Watched) -> None:
    desk.context = replace(desk.context, catalog=replace(desk.context.catalog, apps={}))
    assert desk.tick() is None and desk.is_over()


# --- what is watched ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "rules", "watched"),
    [
        (Deploy("2.0.0"), Rules(), True),
        (Deploy("2.0.0", Strategy.CANARY), Rules(), True),
        (Scale(5), Rules(), False),
        (Restart(), Rules(), False),
        (Undo(), Rules(), False),
        (Deploy("2.0.0"), Rules(watch_after_ms=0), False),
    ],
    ids=str,
)
def test_a_release_that_brought_a_version_is_watched(
    change: Change, rules: Rules, watched: bool
) -> None:
    desk = Watched(change, rules)
    assert desk.is_over() is not watched
    assert (f"watch:{desk.id}" in desk.store.queue.due) is watched


@pytest.mark.parametrize("phase", [Phase.ROLLED_BACK, Phase.FAILED, Phase.ABORTED])
def test_a_release_that_did_not_succeed_is_not_watched(phase: Phase) -> None:
    desk = Watched(Scale(5))
    ended: Release = replace(desk.over, change=Deploy("2.0.0"), phase=phase)
    begin_watch(desk.context, desk.running, ended)
    assert desk.is_over()
