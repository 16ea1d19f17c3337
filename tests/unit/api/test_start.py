"""A machine starts a release: once for each key, in its scope, by the rules of `/deploy`."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bot.commands.table import Names
from bot.operations.lifecycle.prepare_release import refusal_to_start
from bot.policy.approvals import refusal_to_approve
from bot.policy.automation import AutomationLock
from bot.policy.freezes import Freeze
from bot.policy.permissions import Role
from bot.releases.facts.changes import Deploy
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import GateState, Phase, Progress, Release
from bot.releases.facts.rules import ApprovalRules, CanaryRules, Rules
from bot.releases.facts.target import Strategy
from bot.slack.blocks.card import card
from tests.blocks.stories import PROMOTING
from tests.builders import ADMIN, MANAGER, T0
from tests.unit.api.conftest import ASKING, CI, READER, RELEASE, Door


def started(door: Door) -> list[Release]:
    return list(door.store.active())


def test_a_release_is_started_as_a_command_would(door: Door) -> None:
    body = {**RELEASE, "strategy": "canary", "steps": [10, 50], "hold": "1m", "reason": "a fix"}
    body |= {"triggered_by": "U0DEV2"}
    answer = door.post(body)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/releases/hello-1"
    release = door.store.load("hello-1")
    assert release.change == Deploy("2.0.0", Strategy.CANARY, (10, 50), 60_000)
    assert release.command == "deploy hello 2.0.0 canary steps=10,50 hold=1m"
    assert (release.reason, release.channel) == ("a fix", "C0RELEASES")
    assert {"release:hello-1", "deliver:hello-1"} <= set(door.store.queue.due)
    assert answer.json()["started_by"] == {"user": "U0DEV2", "caller": "ci"}


def test_fifty_requests_with_one_key_start_one_release(door: Door) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: door.post(), range(50)))
    assert {one.json()["id"] for one in answers} == {"hello-1"}
    assert sorted({one.status_code for one in answers}) == [200, 201]
    assert len(started(door)) == 1


def test_a_key_belongs_to_its_caller_and_its_body(door: Door) -> None:
    door.post()
    reused = door.post({**RELEASE, "version": "3.0.0"})
    assert (reused.status_code, reused.json()["code"]) == (422, "key_reused")
    assert len(started(door)) == 1
    door.store.save(
        replace(door.store.load("hello-1"), phase=Phase.SUCCEEDED), (), operation="over"
    )
    assert door.post().json()["id"] == "hello-1"
    assert door.post(key="build-4712").json()["id"] == "hello-2"


def test_what_needs_an_approval_needs_the_person_behind_it(door: Door) -> None:
    door.set_rules(ASKING)
    refused = door.post()
    assert (refused.status_code, refused.json()["code"]) == (422, "triggered_by_required")
    assert not started(door)
    answer = door.post({**RELEASE, "triggered_by": "U0DEV2"})
    assert answer.json()["started_by"] == {"user": "U0DEV2", "caller": "ci"}


@pytest.mark.parametrize(
    ("rules", "strategy", "asks"),
    [
        (Rules(), "rolling", False),
        (Rules(), "canary", True),
        (Rules(canary=CanaryRules(promote="automatic")), "canary", False),
        (Rules(own_strategy=Strategy.CANARY), "rolling", True),
        (Rules(approvals=ApprovalRules(promote=0)), "bluegreen", False),
    ],
)
def test_it_is_known_beforehand_which_releases_ask(rules: Rules, strategy: str, asks: bool) -> None:
    assert rules.asks_approvers(Strategy(strategy)) is asks


def test_the_vote_of_the_claimed_person_does_not_count() -> None:
    claimed = replace(MANAGER, caller="ci")
    gate = ApprovalGate("start", 1, True, 3_600_000, "hold")
    assert PROMOTING.plan is not None
    release = replace(
        PROMOTING,
        requested_by=claimed,
        phase=Phase.AWAITING_APPROVAL,
        plan=replace(PROMOTING.plan, start=(gate,)),
        progress=Progress(at_step=-1, gate=GateState(-1, 0, T0)),
    )
    roles = frozenset({Role.APPROVER})
    line = "ci started this release for you: someone else must approve it."
    assert refusal_to_approve(release, MANAGER, roles) == line
    assert refusal_to_approve(release, ADMIN, roles) == ""


def test_the_card_says_that_the_person_is_claimed(door: Door) -> None:
    door.set_rules(ASKING)
    door.post({**RELEASE, "triggered_by": "U0DEV2"})
    shown = str(card(door.store.load("hello-1"), now=T0, names=Names()).blocks)
    assert "by <@U0DEV2>, as the API caller `ci` claims" in shown


def test_a_claim_lends_no_right_of_the_person(door: Door) -> None:
    """Of a freeze an admin may be claimed, and the token still overrides nothing."""
    freeze = Freeze("all", "incident", ADMIN, door.store.now())
    assert door.store.change_freeze("all", None, freeze)
    refused = door.post({**RELEASE, "triggered_by": ADMIN.user, "reason": "urgent"})
    assert (refused.status_code, refused.json()["code"]) == (409, "refused")
    assert "frozen" in refused.json()["detail"].lower()
    assert not started(door)


def lock(door: Door, *versions: str) -> None:
    locks = tuple(AutomationLock(one, "hello-7", "3 pods crashed", T0) for one in versions)
    assert door.store.change_automation_locks("hello", "local", (), locks)


def test_after_a_version_failed_a_machine_starts_nothing_of_its_app(door: Door) -> None:
    lock(door, "1.9.0")
    for body in (RELEASE, {**RELEASE, "version": "1.9.0", "triggered_by": ADMIN.user}):
        refused = door.post(body, key=f"build-{body['version']}")
        assert (refused.status_code, refused.json()["code"]) == (409, "locked")
        assert refused.json()["detail"] == (
            "Machines may not release hello: 1.9.0 failed in hello-7: 3 pods crashed."
            ' A person clears that in Slack: `/pilothouse clear hello reason="…"`.'
        )
    assert not started(door)


def test_what_a_machine_asked_for_before_a_version_failed_does_not_start(door: Door) -> None:
    door.post()
    lock(door, "1.9.0")
    assert refusal_to_start(door.context, door.store.load("hello-1")) == (
        "not started: Machines may not release hello: 1.9.0 failed in hello-7: 3 pods crashed."
    )


def test_a_token_that_was_taken_away_starts_nothing_that_waits(door: Door) -> None:
    door.post()
    release = door.store.load("hello-1")
    assert refusal_to_start(door.context, release) == ""
    door.grant(may_start=False)
    assert refusal_to_start(door.context, release) == (
        "not started: The API caller ci may read and start nothing."
    )
    door.context = replace(door.context, catalog=replace(door.context.catalog, callers={}))
    assert "no longer names" in refusal_to_start(door.context, release)


@pytest.mark.parametrize(
    ("scope", "body"),
    [
        ({}, {"app": "auth"}),
        ({}, {"app": "nothing-like-it"}),
        ({"clusters": frozenset({"other"})}, {}),
        ({"strategies": frozenset({Strategy.CANARY})}, {"strategy": "rolling"}),
        ({"may_start": False}, {}),
    ],
)
def test_what_a_token_does_not_cover_is_refused(
    door: Door, scope: dict[str, object], body: dict[str, str]
) -> None:
    door.grant(**scope)
    refused = door.post({**RELEASE, **body})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert not door.store.active() and not door.store.queue.due


def test_what_the_catalog_refuses_is_refused_in_its_words(door: Door) -> None:
    apps = {name: replace(app, channel="") for name, app in door.context.catalog.apps.items()}
    door.context = replace(door.context, catalog=replace(door.context.catalog, apps=apps))
    refused = door.post()
    assert (refused.status_code, refused.json()["code"]) == (409, "refused")
    assert refused.json()["detail"].startswith("hello has no channel for its card.")


@pytest.mark.parametrize("scheme", ["", "Basic abc", "Bearer", f"Bearer {CI[:-1]}", f"Token {CI}"])
def test_without_a_valid_token_nobody_comes_in(door: Door, scheme: str) -> None:
    refused = door.post(Authorization=scheme)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert not started(door)


def test_an_expired_token_says_so(door: Door) -> None:
    door.grant(expires_at=T0)
    assert door.post().json()["code"] == "token_expired"
    door.now = T0 - 1
    assert door.get("hello-1").json()["code"] == "not_found"


def test_two_tokens_are_valid_while_one_is_exchanged(door: Door) -> None:
    newer = READER[::-1]
    (door.folder / "ci").write_text(f"{newer}\n{CI}\n")
    assert [door.get("x", token=one).status_code for one in (CI, newer)] == [404, 404]
    (door.folder / "ci").write_text(f"{newer}\n")
    assert [door.get("x", token=one).status_code for one in (CI, newer)] == [401, 404]
    (door.folder / "ci").unlink()
    assert door.get("x", token=newer).status_code == 401


def test_a_short_token_is_none(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    (door.folder / "ci").write_text("too-short\n")
    with caplog.at_level(logging.ERROR):
        assert door.get("x", token="too-short").status_code == 401
    assert "less than 32" in caplog.text and "too-short" not in caplog.text


@pytest.mark.parametrize(
    ("body", "status", "code", "line"),
    [
        (b"{", 400, "malformed", "The body is not JSON."),
        (b"[]", 400, "malformed", "The body must be one JSON object."),
        (b'"' + b"x" * 20_000 + b'"', 413, "too_large", "The body is larger than 16384 bytes."),
        ({**RELEASE, "force": True}, 422, "invalid", "Unknown field `force`."),
        ({"app": "hello"}, 422, "invalid", "The field `version` is missing."),
        ({**RELEASE, "version": "2.0.0 canary"}, 422, "invalid", "version: "),
        ({**RELEASE, "steps": [50, 20]}, 422, "invalid", "steps: steps must rise"),
        ({**RELEASE, "hold": "soon"}, 422, "invalid", "hold: `soon` is not a duration"),
        ({**RELEASE, "triggered_by": "ann"}, 422, "invalid", "triggered_by: `ann` is not"),
        ({**RELEASE, "strategy": "rolling", "sticky": True}, 422, "invalid", "`sticky` is for"),
    ],
)
def test_a_wrong_body_is_refused_in_one_line(
    door: Door, body: object, status: int, code: str, line: str
) -> None:
    refused = door.post(body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"].startswith(line) and "\n" not in refused.json()["detail"]
    assert not started(door)


def test_headers_are_asked_for(door: Door) -> None:
    assert door.post(key="short").json()["code"] == "malformed"
    assert door.post(b"app=hello", Content_Type="text/plain").json()["code"] == "not_json"
    assert door.client.send("PUT", "/api/v1/releases").json()["code"] == "method_not_allowed"
    assert door.client.send("GET", "/other").json()["code"] == "not_found"


def test_a_defect_shows_nothing_of_itself(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.context = replace(door.context, store=None)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        failed = door.post()
    assert (failed.status_code, failed.json()["code"]) == (500, "internal")
    assert "Traceback" not in failed.text and CI not in caplog.text


def test_requests_are_counted_by_route_and_answer(door: Door) -> None:
    door.post()
    door.post(token=READER)
    counted = {
        (one.labels["route"], one.labels["status"]): one.value
        for metric in door.metrics.api_requests.collect()
        for one in metric.samples
        if one.name.endswith("_total")
    }
    assert counted == {("start", "201"): 1.0, ("start", "403"): 1.0}
