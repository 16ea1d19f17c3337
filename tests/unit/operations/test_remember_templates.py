"""What a release leaves behind for the next undo: templates seen healthy, bad, or left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from bot.operations.context import App, Catalog, Context
from bot.operations.lifecycle.known_templates import containers_of_others, known_templates
from bot.operations.lifecycle.remember_templates import app_key, remember_templates
from bot.policy.permissions import Access
from bot.releases.engine.decide import decide
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.changes import Change, Deploy, Undo
from bot.releases.facts.intent import Field, Intent, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.release import Phase, Release, Rollback
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.releases.planning.undo import choose_undo
from tests.builders import (
    SECOND,
    T0,
    a_deployment,
    a_pod,
    a_release,
    a_replica_set,
    a_target,
    a_template,
    an_observation,
    pods_for,
)
from tests.fakes.in_memory_store import InMemoryReleaseStore

V1, V2, V3 = a_template("1.0.0"), a_template("2.0.0"), a_template("3.0.0")


@pytest.fixture
def store() -> InMemoryReleaseStore:
    return InMemoryReleaseStore()


@pytest.fixture
def context(store: InMemoryReleaseStore) -> Context:
    unused = cast(Any, None)
    catalog = Catalog({}, ("local",), Access(frozenset(), {}))
    return Context(store, store.queue, unused, unused, unused, catalog, unused, unused)


def planned(change: Change, found: DeploymentSeen) -> tuple[Release, Observation]:
    seen = an_observation(found)
    return decide(a_release(change), seen, T0).release, seen


def rolled_back(release: Release, failure: FailureClass, why: str) -> Release:
    wrote = Intent(Kind.DEPLOYMENT, release.target.deployment, Field.TEMPLATE, V1, V1, written=True)
    return replace(
        release,
        phase=Phase.ROLLED_BACK,
        rollback=Rollback(Phase.ROLLED_BACK),
        cause=Cause(failure, why),
        intents=(wrote,),
    )


def verdict(store: InMemoryReleaseStore, release: Release, template: Any) -> tuple[str, str, str]:
    return store.verdict_on(app_key(release, an_observation().cluster_uid), template)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (FailureClass.PERMANENT, "bad"),
        (FailureClass.PERSISTENT, "bad"),
        (FailureClass.DEADLINE, "left"),
        (FailureClass.VERDICT, "left"),
        (FailureClass.REQUEST, "left"),
        (FailureClass.ENVIRONMENT, "left"),
        (FailureClass.REFUSED, "left"),
    ],
)
def test_every_rollback_marks_its_template(
    context: Context, store: InMemoryReleaseStore, failure: FailureClass, expected: str
) -> None:
    release, seen = planned(Deploy("2.0.0"), a_deployment(template=V1))
    remember_templates(context, rolled_back(release, failure, "why"), seen)
    assert verdict(store, release, V2) == (expected, "hello-42", "why")


def test_a_rollback_after_the_first_write_marks_nothing_that_runs(
    context: Context, store: InMemoryReleaseStore
) -> None:
    release, _ = planned(Deploy("2.0.0"), a_deployment(template=V1))
    kept = rolled_back(release, FailureClass.DRIFT, "kept an outside change")
    remember_templates(context, kept, an_observation(a_deployment(template=V2)))
    assert verdict(store, release, V2)[0] == ""


def test_a_failure_stays_bad_when_a_person_flees_it_later(
    context: Context, store: InMemoryReleaseStore
) -> None:
    release, seen = planned(Deploy("2.0.0"), a_deployment(template=V1))
    remember_templates(context, rolled_back(release, FailureClass.PERMANENT, "no image"), seen)
    remember_templates(context, rolled_back(release, FailureClass.REQUEST, "aborted"), seen)
    assert verdict(store, release, V2)[0] == "bad"


def test_an_aborted_canary_marks_the_template_that_stable_would_run(
    context: Context, store: InMemoryReleaseStore
) -> None:
    release, seen = planned(Deploy("2.0.0", Strategy.CANARY), a_deployment(template=V1))
    remember_templates(context, rolled_back(release, FailureClass.REQUEST, "aborted"), seen)
    assert verdict(store, release, V2)[0] == "left"


def half_crashing() -> DeploymentSeen:
    """Three old pods are available; the one of the current template crashes."""
    crashing = a_pod("hello-2-a", waiting="CrashLoopBackOff")
    return a_deployment(
        template=V2,
        replica_sets=(
            a_replica_set("hello-2", V2, revision=2, pods=(crashing,)),
            a_replica_set("hello-1", V1, pods=pods_for("hello-1", V1, 3)),
        ),
    )


def test_old_pods_prove_nothing_about_the_new_template(
    context: Context, store: InMemoryReleaseStore
) -> None:
    release, _ = planned(Undo(template=V1), a_deployment(template=V2))
    key = app_key(release, an_observation().cluster_uid)
    store.remember_bad(key, V2, version="2.0.0", why="crashed", release_id="hello-7")
    remember_templates(
        context, replace(release, phase=Phase.PROGRESSING), an_observation(half_crashing())
    )
    assert verdict(store, release, V2) == ("bad", "hello-7", "crashed")


def test_available_old_pods_are_no_success_of_the_new_template(
    context: Context, store: InMemoryReleaseStore
) -> None:
    release, _ = planned(Deploy("2.0.0"), a_deployment(template=V1))
    over = replace(release, phase=Phase.SUCCEEDED)
    remember_templates(context, over, an_observation(half_crashing()))
    assert verdict(store, release, V2)[0] == ""


def test_a_mark_is_not_erased_by_what_a_release_finds(
    context: Context, store: InMemoryReleaseStore
) -> None:
    release, seen = planned(Deploy("3.0.0"), a_deployment(template=V2))
    key = app_key(release, seen.cluster_uid)
    store.remember_left(key, V2, version="2.0.0", why="undone", release_id="hello-7")
    remember_templates(
        context, replace(release, progress=replace(release.progress, at_step=-1)), seen
    )
    assert verdict(store, release, V2)[0] == "left"


def test_a_template_without_pods_is_left_and_not_healthy(
    context: Context, store: InMemoryReleaseStore
) -> None:
    release, _ = planned(Deploy("2.0.0"), a_deployment(template=V1, replicas=0))
    after = an_observation(a_deployment(template=V2, replicas=0))
    remember_templates(context, replace(release, phase=Phase.SUCCEEDED), after)
    assert verdict(store, release, V2) == ("left", "hello-42", "no pod of it was available")
    assert verdict(store, release, V1)[0] == ""


def test_a_second_undo_does_not_return_to_what_was_undone(
    context: Context, store: InMemoryReleaseStore
) -> None:
    release, before = planned(Undo(template=V2), a_deployment(template=V3))
    key = app_key(release, before.cluster_uid)
    for version, template in (("1.0.0", V1), ("2.0.0", V2), ("3.0.0", V3)):
        store.remember_healthy(key, template, version=version, release_id=f"hello-{version[0]}")
    serves = a_deployment(
        template=V2,
        replica_sets=(
            a_replica_set("hello-2", V2, revision=4, pods=pods_for("hello-2", V2, 3)),
            a_replica_set("hello-3", V3, revision=3),
            a_replica_set("hello-1", V1, revision=1),
        ),
    )
    remember_templates(context, replace(release, phase=Phase.SUCCEEDED), an_observation(serves))
    assert verdict(store, release, V3) == ("left", "hello-42", "undone by developer")
    known = known_templates(context, key, serves)
    assert choose_undo(serves, known, to_revision=None, app="hello").template == V1


def test_the_catalog_says_which_containers_belong_to_other_apps(context: Context) -> None:
    def entry(app: str, container: str, deployment: str = "pair") -> App:
        target = replace(a_target(), app=app, deployment=deployment, container=container)
        return App(target, Rules(), "", Strategy.ROLLING)

    apps = {
        "web": entry("web", "web"),
        "proxy": entry("proxy", "proxy"),
        "far": entry("far", "far", "other"),
    }
    shared = replace(context, catalog=replace(context.catalog, apps=apps))
    assert containers_of_others(shared, apps["web"].target) == {"proxy"}


def test_a_deployment_of_that_name_in_another_cluster_is_not_shared(context: Context) -> None:
    here = replace(a_target(), app="web", deployment="pair", container="web")
    there = replace(here, app="web-us", cluster="us", container="server")
    apps = {one.app: App(one, Rules(), "", Strategy.ROLLING) for one in (here, there)}
    two = replace(context, catalog=replace(context.catalog, apps=apps))
    assert containers_of_others(two, here) == frozenset()


def test_a_waves_time_is_kept_without_the_minimum_that_pods_stay_ready(
    context: Context, store: InMemoryReleaseStore
) -> None:
    hello = a_deployment(template=V1, min_ready_seconds=300)
    release, seen = planned(Deploy("2.0.0"), hello)
    done = replace(release, phase=Phase.SUCCEEDED, active_ms=3 * 400 * SECOND)
    remember_templates(context, done, seen)
    assert store.durations(app_key(release, seen.cluster_uid)) == (100 * SECOND,)
