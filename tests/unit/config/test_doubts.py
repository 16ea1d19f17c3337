"""What `pilothouse check` warns of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from config.catalog import parse_catalog
from config.check import main
from config.doubts import find_doubts

ONE_ADMIN = {"admin": {"users": ["U0ADMIN"]}}
TWO = {"approver": {"users": ["U0A", "U0B"]}, "deployer": {"users": ["U0A", "U0DEV"]}}


def catalog(roles: dict[str, Any], **approvals: Any) -> str:
    return yaml.safe_dump(
        {
            "clusters": {"production": {"in_cluster": True}},
            "defaults": {"channel": "C0RELEASES"},
            "apps": {"hello": {"approvals": approvals} if approvals else {}},
            "access": {"roles": roles},
        }
    )


def doubts(roles: dict[str, Any], **approvals: Any) -> tuple[str, ...]:
    return in_words(catalog(roles, **approvals))


def in_words(text: str) -> tuple[str, ...]:
    return tuple(f"{one.place}: {one.message}" for one in find_doubts(parse_catalog(text)))


def test_check_warns_and_accepts_the_catalog(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(catalog({"admin": {"everyone": True}}))
    assert main([str(file)]) == 0
    assert f"{file}:3: warning: access.roles.admin: everyone" in capsys.readouterr().err


def test_a_quorum_larger_than_the_named_people_is_doubted() -> None:
    (line,) = doubts(TWO, promote=3)
    assert line.startswith("apps.hello.approvals.promote: 3 approvals cannot be reached: at most 2")
    assert doubts(TWO, promote=2, start=2) == ()
    assert len(doubts(TWO, promote=3, start=3)) == 2


def test_the_only_person_cannot_approve_their_own_release() -> None:
    (line,) = doubts(ONE_ADMIN)
    assert "at most 0 people may approve" in line
    assert doubts(ONE_ADMIN, requester_may_approve=True) == ()


@pytest.mark.parametrize("open_role", [{"groups": ["S0DEV"]}, {"everyone": True}])
def test_a_group_may_hold_any_number_of_people(open_role: dict[str, Any]) -> None:
    assert doubts({**TWO, "approver": open_role}, promote=9) == ()


def test_a_starter_from_a_group_need_not_be_an_approver() -> None:
    roles = {"approver": {"users": ["U0A"]}, "deployer": {"groups": ["S0DEV"]}}
    assert doubts(roles) == ()


def test_where_nobody_may_release_no_quorum_is_doubted() -> None:
    assert doubts({"viewer": {"everyone": True}}) == ()


@pytest.mark.parametrize("strategy", ["canary", "bluegreen"])
def test_an_automatic_promotion_that_nobody_asked_is_doubted(strategy: str) -> None:
    def found(**more: Any) -> tuple[str, ...]:
        app = {strategy: {"promote": "automatic"}, **more}
        text = {"clusters": {"production": {"in_cluster": True}}, "apps": {"hello": app}}
        return in_words(yaml.safe_dump(text))

    (line,) = found()
    assert line.startswith(f"apps.hello.{strategy}.promote: automatic, and no `probe`")
    assert "judged by pods alone" in line
    assert found(probe={"path": "/version"}) == ()
    assert len(found(probe={"url": "http://hello"})) == 1


@pytest.mark.parametrize(
    ("hold", "window", "interval", "place"),
    [
        ("59s", "hold", "15s", "canary.hold: 59 s are too short for three scrapes, 15 s apart"),
        ("5m", "59s", "15s", "judge.window: 59 s are too short for three scrapes, 15 s apart"),
        ("1m", "hold", "15s", ""),
        ("1m", "hold", "", ""),
    ],
)
def test_a_hold_too_short_for_three_scrapes_is_doubted(
    hold: str, window: str, interval: str, place: str
) -> None:
    source = {"url": "http://prometheus:9090"} | ({"scrape_interval": interval} if interval else {})
    app = {"canary": {"hold": hold}, "judge": {"preset": "prometheus", "window": window}}

    def found(**more: Any) -> tuple[str, ...]:
        clusters = {"production": {"in_cluster": True, "prometheus": source}}
        return in_words(yaml.safe_dump({"clusters": clusters, "apps": {"hello": app | more}}))

    assert [line.partition(": metrics")[0] for line in found()] == (
        [f"apps.hello.{place}"] if place else []
    )
    assert found(strategies=["rolling"]) == ()


def api_doubts(api: dict[str, Any]) -> tuple[str, ...]:
    text = yaml.safe_dump({**yaml.safe_load(catalog({})), "api": api})
    return in_words(text)


def test_a_door_for_machines_that_leads_nowhere_or_never_closes_is_doubted() -> None:
    token = {"name": "ci", "file": "t", "apps": ["hello"], "may": "start"}
    until = {**token, "expires": "2027-01-01"}
    assert api_doubts({"port": 3001, "tokens": [until]}) == ()
    assert api_doubts({"port": 3001}) == ("api: a port without tokens lets nobody in",)
    assert "tokens without a port" in api_doubts({"tokens": [until]})[0]
    assert "never expires" in api_doubts({"port": 3001, "tokens": [token]})[0]


SCOPED = """\
clusters:
  eu:
    in_cluster: true
    access: {approver: {users: [U0EU]}, deployer: {users: [U0DEV]}}
apps:
  shop:
    access: {inherit: false, approver: {users: [U0A]}, deployer: {users: [U0A]}}
access:
  roles: {deployer: {users: [U0DEV]}, admin: {users: [U0ADMIN]}}
"""


def test_roles_that_hide_each_other_are_named_with_their_line() -> None:
    found = {one.place: (one.line, one.message) for one in find_doubts(parse_catalog(SCOPED))}
    assert found == {
        "clusters.eu.access.approver": (
            4,
            "never used: every app of eu names its own approvers; remove it",
        ),
        "clusters.eu.access.deployer": (
            4,
            "says the same as access.roles.deployer, and hides later changes of it",
        ),
        "apps.shop.access.inherit": (
            7,
            "nobody may override a freeze or end a release by force here: name an `admin`",
        ),
        "apps.shop.approvals.promote": (
            6,
            "1 approval cannot be reached: at most 0 people may approve a release",
        ),
    }
