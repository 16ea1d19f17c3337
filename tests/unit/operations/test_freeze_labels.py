"""A freeze of a label of clusters: whom it stops, who may set it, and that it can be lifted."""

from __future__ import annotations

import json
from dataclasses import replace

from bot.commands.model import FreezeCommand, UnfreezeCommand
from bot.commands.parse import parse
from bot.operations.access.freezes_in_force import freezes_in_force
from bot.operations.delivery.edit_banners import edit_banners, remember_banner
from bot.operations.lifecycle.meet_freeze import meet_freeze
from bot.operations.queries.change_freeze import change_freeze
from bot.operations.replies import FreezeReply, Refusal, TextReply
from bot.policy.freezes import FreezeWindow
from bot.policy.permissions import Access, Grant, Role, Scope
from tests.builders import ADMIN, DEVELOPER, MINUTE, a_query
from tests.unit.operations.test_freeze_windows import FRIDAY, WINDOW, Office
from tests.unit.operations.test_meet_freeze import running

FREEZE = FreezeCommand("region:eu", "a cable was cut", running="hold")
LABELS = {"local": {"region": "eu"}, "prod-us": {"region": "us"}}


def an_office(window: FreezeWindow = WINDOW) -> Office:
    office = Office(window)
    office.now = FRIDAY - MINUTE
    catalog = replace(office.context.catalog, clusters=("local", "prod-us"), labels=LABELS)
    office.context = replace(office.context, catalog=catalog)
    return office


def relabelled(office: Office, region: str) -> None:
    labels = {**LABELS, "local": {"region": region}}
    catalog = replace(office.context.catalog, labels=labels)
    office.context = replace(office.context, catalog=catalog)


def change(office: Office, command: FreezeCommand | UnfreezeCommand) -> object:
    return change_freeze(office.context, a_query(command, asker=ADMIN), command)


def test_it_stops_the_clusters_that_have_the_label_and_no_other() -> None:
    office = an_office()
    release = running(office)
    assert isinstance(change(office, FREEZE), FreezeReply)
    assert "region:eu is frozen" in office.typed(DEVELOPER, "deploy hello 3.0.0")
    assert meet_freeze(office.context, release).freeze is not None
    elsewhere = replace(release, target=replace(release.target, cluster="prod-us"))
    assert meet_freeze(office.context, elsewhere).freeze is None


def test_a_cluster_that_gets_the_label_is_frozen_and_one_that_loses_it_stays_so() -> None:
    office = an_office()
    change(office, FREEZE)
    relabelled(office, "us")
    (found,) = freezes_in_force(office.context)
    assert found.covers("hello", "local") and not found.covers("hello", "prod-us")
    change(office, replace(FREEZE, scope="region:us"))
    assert all(one.covers("hello", "local") for one in freezes_in_force(office.context))


def test_a_window_may_mean_a_label() -> None:
    office = an_office(replace(WINDOW, scope="region:us"))
    office.now = FRIDAY
    assert office.typed(DEVELOPER, "deploy hello 2.0.0") == "Receipt"
    office = an_office(replace(WINDOW, scope="region:eu"))
    office.now = FRIDAY
    assert "region:eu is frozen by the catalog" in office.typed(DEVELOPER, "deploy hello 2.0.0")


def test_it_takes_the_role_in_each_of_the_clusters() -> None:
    office = an_office()
    mine = {"local": Scope({Role.DEPLOYER: Grant(users=frozenset({"U0EU"}))})}
    access = replace(office.context.catalog.access, of_clusters=mine)
    assert isinstance(access, Access)
    labels = {**LABELS, "prod-us": {"region": "eu"}}
    catalog = replace(office.context.catalog, access=access, labels=labels)
    office.context = replace(office.context, catalog=catalog)
    one_of_eu = replace(DEVELOPER, user="U0EU")
    reply = change_freeze(office.context, a_query(FREEZE, asker=one_of_eu), FREEZE)
    assert isinstance(reply, Refusal)
    only_local = replace(FREEZE, scope="cluster:local")
    reply = change_freeze(office.context, a_query(only_local, asker=one_of_eu), only_local)
    assert isinstance(reply, FreezeReply)


def test_it_is_lifted_also_where_no_cluster_has_the_label_any_more() -> None:
    office = an_office()
    change(office, FREEZE)
    relabelled(office, "us")
    command = parse("unfreeze region:eu", office.context.catalog.known())
    assert command == UnfreezeCommand("region:eu")
    assert isinstance(change(office, UnfreezeCommand("region:eu")), TextReply)
    assert freezes_in_force(office.context) == ()


def test_its_banner_stands_while_it_is_in_force() -> None:
    office = an_office()
    reply = change(office, FREEZE)
    assert isinstance(reply, FreezeReply)
    remember_banner(office.context, reply.freeze, "C0RELEASES", "1.1")
    edit_banners(office.context)
    (banner,) = json.loads(office.store.peek("freeze banners") or "[]")
    assert banner["freeze"]["scope"] == "region:eu"
