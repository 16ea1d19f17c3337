"""Whose role counts where: the narrowest place that names it decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.policy.decision import (
    EFFECT,
    READING,
    STARTING,
    Act,
    Asker,
    Freezing,
    Thing,
    denial,
    place_of,
)
from bot.policy.permissions import (
    ANYWHERE,
    WORKSPACE,
    Access,
    Grant,
    Permission,
    PersonKind,
    Place,
    Role,
    Scope,
    roles_of,
)
from tests.builders import DEVELOPER, T0


def of(*users: str, groups: tuple[str, ...] = ()) -> Grant:
    return Grant(users=frozenset(users), groups=frozenset(groups))


SHOP = Scope({Role.DEPLOYER: of("U0SHOP", groups=("S0SHOP",))})
US = Scope({Role.DEPLOYER: of("U0US"), Role.ADMIN: of("U0CHIEF")})
ACCESS = Access(
    roles={
        Role.VIEWER: Grant(everyone=True),
        Role.DEPLOYER: of("U0DEV"),
        Role.APPROVER: of("U0LEAD"),
        Role.ADMIN: of("U0ADMIN"),
    },
    of_clusters={"us": US},
    of_apps={"shop": SHOP},
)
VIEWER, DEPLOYER, ADMIN = Role.VIEWER, Role.DEPLOYER, Role.ADMIN


@pytest.mark.parametrize(
    ("user", "place", "roles"),
    [
        ("U0DEV", WORKSPACE, {VIEWER, DEPLOYER}),
        ("U0DEV", Place("cart", ("eu",)), {VIEWER, DEPLOYER}),
        ("U0DEV", Place("shop", ("eu",)), {VIEWER}),
        ("U0DEV", Place("cart", ("us",)), {VIEWER}),
        ("U0DEV", Place("cart", ("eu", "us")), {VIEWER}),
        ("U0SHOP", Place("shop", ("eu",)), {VIEWER, DEPLOYER}),
        ("U0SHOP", Place("shop", ("us",)), {VIEWER, DEPLOYER}),  # the app is the narrowest
        ("U0SHOP", Place("cart", ("eu",)), {VIEWER}),
        ("U0SHOP", WORKSPACE, {VIEWER}),
        ("U0SHOP", ANYWHERE, {VIEWER, DEPLOYER}),
        ("U0US", Place("cart", ("us",)), {VIEWER, DEPLOYER}),
        ("U0ADMIN", Place("shop", ("eu",)), {VIEWER, ADMIN}),  # which the app does not name
        ("U0ADMIN", Place("cart", ("us",)), {VIEWER}),
        ("U0CHIEF", Place("shop", ("us",)), {VIEWER, ADMIN}),
    ],
)
def test_the_narrowest_that_names_a_role_decides(user: str, place: Place, roles: set[Role]) -> None:
    assert roles_of(ACCESS, user, (), place=place) == roles


def test_a_group_counts_in_its_place_alone() -> None:
    assert DEPLOYER in roles_of(ACCESS, "U1", ("S0SHOP",), place=Place("shop", ("eu",)))
    assert DEPLOYER not in roles_of(ACCESS, "U1", ("S0SHOP",), place=Place("cart", ("eu",)))
    assert "S0SHOP" in ACCESS.named_groups


def test_a_closed_app_inherits_nothing_but_reading() -> None:
    closed = replace(ACCESS, of_apps={"shop": replace(SHOP, inherit=False)})
    assert roles_of(closed, "U0ADMIN", (), place=Place("shop", ("eu",))) == {VIEWER}
    assert roles_of(closed, "U0SHOP", (), place=Place("shop", ("eu",))) == {VIEWER, DEPLOYER}


@pytest.mark.parametrize("kind", [PersonKind.GUEST, PersonKind.DEACTIVATED, PersonKind.BOT])
def test_a_guest_has_a_place_by_name_and_others_have_none(kind: PersonKind) -> None:
    named = roles_of(ACCESS, "U0SHOP", (), kind, Place("shop", ("eu",)))
    assert named == ({DEPLOYER} if kind is PersonKind.GUEST else set())


def may(act: Act, thing: Thing, *, user: str = "U0SHOP") -> bool:
    person = replace(DEVELOPER, user=user)
    asker = Asker(person, person.team)
    closed = replace(ACCESS, roles={**ACCESS.roles, Role.VIEWER: of("U0DEV")})
    return denial(asker, act, thing, EFFECT, closed, T0) is None


def test_who_may_release_one_app_may_read_about_all() -> None:
    assert may(READING, WORKSPACE) and may(READING, Place("cart", ("eu",)))
    assert not may(READING, WORKSPACE, user="U0NOBODY")


def test_a_freeze_is_judged_where_it_holds() -> None:
    freezing = Act("freeze", Permission.DEPLOY, changes=True)
    assert may(freezing, Freezing(Place("shop", ("eu", "us"))))
    assert not may(freezing, Freezing(WORKSPACE))
    assert not may(freezing, Freezing(Place(clusters=("eu",))))


def test_nothing_is_done_anywhere() -> None:
    assert may(STARTING, ANYWHERE) and place_of(STARTING, ANYWHERE) is ANYWHERE
