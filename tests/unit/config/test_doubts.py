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
    return find_doubts(parse_catalog(catalog(roles, **approvals)))


def test_check_warns_and_accepts_the_catalog(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(catalog({"admin": {"everyone": True}}))
    assert main([str(file)]) == 0
    assert f"{file}: warning: access.roles.admin: everyone" in capsys.readouterr().err


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
