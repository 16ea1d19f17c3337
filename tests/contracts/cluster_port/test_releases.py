"""Whole releases against both kinds of API server, where the cluster's own behaviour is the point:
defaults, managedFields, controllers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.cluster.connect import APPLY_PATCH
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.operations.lifecycle.remember_templates import app_key
from bot.releases.facts.changes import Deploy
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Adopt
from bot.releases.facts.target import Strategy
from bot.releases.planning.capacity import deadline_of
from tests.builders import DEVELOPER, MINUTE, a_release, rules_with
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab
from tests.faults.cluster.test_apply import Desk, InterruptedCluster

ROLLED_WITHIN_S = 60


@pytest.fixture
def desk(lab: Lab) -> Desk:
    lab.target = replace(lab.target, container="hello")
    lab.settled()
    return Desk(lab, InterruptedCluster(str(lab.kubeconfig)))


def until(desk: Desk, release_id: str, holds: Callable[[Release], bool]) -> Release:
    def is_there() -> bool:
        advance_release(desk.context, release_id)
        return holds(desk.store.load(release_id))

    assert eventually(is_there, ROLLED_WITHIN_S), desk.said(release_id)
    return desk.store.load(release_id)


def canary_pods(desk: Desk) -> int:
    return int(desk.lab.read("deployments", "hello-canary")["spec"]["replicas"])


def test_a_default_of_the_api_server_is_no_wish(lab: Lab) -> None:
    """It fills in a progress deadline of 600 s; the same value counts once someone applied it."""
    stable = lab.stable()
    assert stable.progress_deadline_seconds == 600
    assert deadline_of(stable, a_release()) == 5 * MINUTE
    stated = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello"},
        "spec": {"progressDeadlineSeconds": 600},
    }
    lab.cluster.connection.patch(
        lab.path("deployments", "hello"),
        stated,
        {"fieldManager": "ops", "force": "true"},
        content_type=APPLY_PATCH,
    )
    assert deadline_of(lab.stable(), a_release()) == 10 * MINUTE


def test_an_abort_in_a_roll_ends_as_found_and_marks_the_version(desk: Desk) -> None:
    found = desk.lab.stable()
    release_id = desk.deploys("2.0.0")
    until(desk, release_id, lambda release: any(intent.written for intent in release.intents))
    assert desk.container()["image"].endswith(":2.0.0")
    tried = desk.lab.stable().template
    control_release(desk.context, release_id, Abort(DEVELOPER), "Aborted.")
    over = until(desk, release_id, lambda release: release.phase.is_final)
    assert over.phase is Phase.ABORTED
    back = desk.lab.settled()
    assert (back.template, back.claim) == (found.template, "")
    key = app_key(over, desk.cluster.uid())
    assert desk.store.verdict_on(key, tried)[0] in ("bad", "left")


def test_a_share_stays_as_approved_when_a_smaller_stable_is_adopted(desk: Desk) -> None:
    desk.rules = rules_with(
        canary={"steps": (50,), "hold_ms": 30 * MINUTE}, approvals={"confirm": False}
    )
    change = Deploy("2.0.0", Strategy.CANARY)
    draft = a_release(change, target=desk.target, rules=desk.rules, id="")
    release_id = desk.store.create(draft, dedup_key="", same_as="", operation="new").release.id
    until(desk, release_id, lambda release: release.phase is Phase.HOLDING)
    desk.lab.edit("deployments", "hello", {"spec": {"replicas": 1}})
    until(desk, release_id, lambda release: release.phase is Phase.DRIFTED)
    control_release(desk.context, release_id, Adopt(DEVELOPER), "Adopted.")
    until(desk, release_id, lambda release: canary_pods(desk) == 1)
    held = desk.store.load(release_id)
    assert held.phase is not Phase.DRIFTED and held.asked_share == 0
    control_release(desk.context, release_id, Abort(DEVELOPER), "Aborted.")
    over = until(desk, release_id, lambda release: release.phase.is_final)
    assert over.phase is Phase.ABORTED
    assert desk.cluster.connection.existing(desk.lab.path("deployments", "hello-canary")) is None
