"""Deployments without a catalog entry: a channel hears of them, and no button writes to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.context import Watch
from bot.operations.watching.follow_rollout import follow_rollout
from bot.operations.watching.notice_change import Subject, last_seen_in, notice_change
from bot.ports import ClusterUnreachable, Refused
from bot.releases.facts.observation import DeploymentSeen
from bot.releases.facts.outside_change import LastSeen, OutsideChange
from bot.wiring import lanes_of
from bot.work_queue import QUERIES, QUERY_JOB, ROUTES, Lanes, in_lane
from config.catalog import CatalogMistakes, parse_catalog
from jobs.admission import allow
from jobs.watched_namespaces import WatchedNamespaces
from tests.builders import a_deployment
from tests.unit.operations.test_answer_start import SimulatedView
from tests.unit.operations.test_follow_rollout import BEFORE, Followed, pods, rolling

CART = Subject("local", "shop-a", "deployments", "cart")
ROLLED = OutsideChange(("template",), "kubectl-set", "", BEFORE, ("cart:2",), generation=2, order=2)
SCALED = OutsideChange(("replicas",), "kubectl-scale", replicas_before=3, replicas_after=5)
SUBJECT = "@local/shop-a/cart"
WATCH = Watch(("shop-*",), channel="C0SHOP", channel_label="example.com/channel")


class Watching(Followed):
    """`shop-*` is watched; the catalog's only app is elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.store.queue.due.clear()
        self.set_watch(WATCH)

    def set_watch(self, watch: Watch) -> None:
        self.context = replace(self.context, catalog=replace(self.context.catalog, watch=watch))

    def told(self, past: OutsideChange, subject: Subject = CART, order: int = 2) -> set[str]:
        notice_change(self.context, subject, past, LastSeen("u", order, f"{order}"))
        return {
            self.store.peek(one) or "" if one.startswith("noticed:") else one
            for one in self.store.queue.due
        }

    def shows(self, stable: DeploymentSeen | None = None) -> str:
        stable = stable or self.cluster.seen.stable
        if stable is not None:
            self.cluster.seen = replace(self.cluster.seen, stable=replace(stable, name="cart"))
        self.at += 10_000
        self.next = follow_rollout(self.context, SUBJECT)
        return self.messenger.sent[-1].message.text if self.messenger.sent else ""


@pytest.fixture
def desk() -> Watching:
    return Watching()


def test_a_rollout_in_a_watched_namespace_is_followed_to_its_end_without_buttons(
    desk: Watching,
) -> None:
    assert desk.told(ROLLED) == {f"rollout:{SUBJECT}"}
    assert "shop-a/cart is rolling: 1.0.0 → 2.0.0" in desk.shows()
    assert desk.labels() == []
    assert "shop-a/cart has rolled" in desk.shows(rolling(pods("2.0.0", 3), old=0))
    assert desk.next is None and desk.how() == ["post", "edit"]
    assert {one.where for one in desk.messenger.sent} == {"C0SHOP"}


def test_what_may_not_be_read_there_is_no_longer_followed(desk: Watching) -> None:
    class Refusing(SimulatedView):
        def observe(self, target: object, **what: object) -> object:  # type: ignore[override]
            raise Refused("deployments is forbidden")

    desk.context = replace(desk.context, clusters={"local": Refusing(desk.cluster.seen)})  # type: ignore[arg-type]
    desk.told(ROLLED)
    desk.shows()
    assert desk.next is None and desk.how() == []


def test_scaling_there_is_one_line(desk: Watching) -> None:
    (line,) = desk.told(SCALED)
    assert "shop-a/cart was scaled from 3 to 5 by kubectl-scale" in line and "C0SHOP" in line


@pytest.mark.parametrize(
    "subject",
    [
        replace(CART, namespace="billing"),
        replace(CART, cluster="eu"),
        replace(CART, resource="services"),
        Subject("local", "default", "deployments", "hello-other"),
    ],
    ids=["another namespace", "another cluster", "a Service", "beside an app"],
)
def test_what_is_not_watched_is_not_told(desk: Watching, subject: Subject) -> None:
    desk.set_watch(replace(WATCH, clusters=("local",)))
    assert desk.told(SCALED, subject) == set()


def test_an_app_of_the_catalog_stays_in_its_own_channel(desk: Watching) -> None:
    desk.set_watch(replace(WATCH, namespaces=("*",)))
    (line,) = desk.told(SCALED, Subject("local", "default", "deployments", "hello"))
    assert "C0RELEASES" in line


@pytest.mark.parametrize(
    ("value", "channel"), [("C0CART", "C0CART"), ("everyone", "C0SHOP"), ("D0ME", "C0SHOP")]
)
def test_a_label_names_the_channel_where_it_is_one(
    desk: Watching, value: str, channel: str
) -> None:
    labels = (("example.com/channel", value),)
    desk.told(replace(ROLLED, labels=labels))
    desk.shows()
    assert desk.messenger.sent[-1].where == channel


def test_without_a_channel_nobody_is_told_and_nothing_waits(desk: Watching) -> None:
    desk.set_watch(replace(WATCH, channel=""))
    assert desk.told(SCALED) == set()


def test_a_rollout_ends_where_its_namespace_is_no_longer_watched(desk: Watching) -> None:
    desk.told(ROLLED)
    desk.set_watch(Watch())
    desk.shows()
    assert desk.next is None and desk.how() == []


def test_the_next_watcher_starts_from_what_was_told_there(desk: Watching) -> None:
    assert last_seen_in(desk.context, "local", "shop-a") == {}
    desk.told(SCALED)
    place = ("shop-a", "deployments", "cart")
    assert last_seen_in(desk.context, "local", "shop-a") == {place: LastSeen("u", 2, "2")}
    assert desk.told(SCALED, order=2) == desk.told(SCALED, order=2)


def test_a_rollout_there_goes_to_the_workers_of_its_cluster(desk: Watching) -> None:
    catalog = replace(desk.context.catalog, clusters=("local", "eu"))
    lanes: Lanes = lanes_of(catalog)
    queue = lanes.of_cluster(lanes.places.get("@eu/shop-a/cart".partition("/")[0]))
    assert queue == "eu"
    job = ROUTES["rollout"].job
    assert (in_lane(QUERIES, queue), job) in allow(ROUTES, QUERY_JOB, in_lane(QUERIES, queue))


class Namespaces:
    def __init__(self) -> None:
        self.names: tuple[str, ...] = ("default", "shop-a")
        self.away = True

    def namespaces(self) -> tuple[str, ...]:
        if self.away:
            raise ClusterUnreachable("timed out")
        return self.names


@pytest.fixture
def lists() -> Namespaces:
    return Namespaces()


def test_namespaces_that_fit_are_found_once_also_those_made_later(lists: Namespaces) -> None:
    watch = Watch(("billing", "shop-*"), channel="C0SHOP")
    search = WatchedNamespaces("local", lists.namespaces, watch, known=("shop-old",))
    search._look()
    assert search.found() == ("billing",)
    lists.away = False
    search._look()
    assert search.found() == ("billing", "shop-a")
    for one in search.found():
        search.take(one)
    lists.names = ("default", "shop-a", "shop-b", "shop-old")
    search._look()
    assert search.found() == ("shop-b",)


MISTAKES = [
    ("{namespaces: [shop]}", "set `channel`, `channel_label` or both"),
    ("{namespaces: [Shop], channel: C0SHOP}", "`Shop` is not a namespace, or a pattern"),
    ("{namespaces: [shop], channel: C0SHOP, clusters: [lokal]}", "did you mean `local`"),
]


@pytest.mark.parametrize(("watch", "said"), MISTAKES)
def test_what_a_wrong_watch_says(watch: str, said: str) -> None:
    text = f"clusters: {{local: {{in_cluster: true}}}}\napps: {{hello: {{}}}}\nwatch: {watch}\n"
    with pytest.raises(CatalogMistakes, match=r"line 3: watch") as found:
        parse_catalog(text)
    assert said in str(found.value)


def test_the_cluster_is_asked_for_that_deployment_alone(desk: Watching) -> None:
    asked = []

    class Asked(SimulatedView):
        def observe(self, target: object, **what: object) -> object:  # type: ignore[override]
            asked.append((target, what))
            return self.seen

    seen = replace(desk.cluster.seen, stable=a_deployment("cart"))
    desk.context = replace(desk.context, clusters={"local": Asked(seen)})  # type: ignore[arg-type]
    desk.told(ROLLED)
    desk.shows()
    ((target, what), *_) = asked
    assert (target.namespace, target.deployment, target.services) == ("shop-a", "cart", ())  # type: ignore[attr-defined]
    assert what == {"candidate": ""}
