"""The comparison of audit stream and cluster history is given wrong ones, and must report them."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from bot.ports import AuditLine
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Phase
from tests.builders import T0, a_release
from tests.faults import leftovers, trail
from tests.faults.invariants import posted_twice, refused_as_archived, unreported

Json = dict[str, Any]
RELEASE = "hello-42"


def line(kind: EventKind, text: str = "", *, at: int = T0) -> AuditLine:
    return AuditLine(at, RELEASE, "hello", kind.value, text, "U0DEV1")


def write(
    image: str = "hello:1",
    *,
    at: float = T0 / 1000,
    verb: str = "patch",
    ours: bool = True,
    **spec: Any,
) -> Json:
    template = {"spec": {"containers": [{"image": image}]}}
    item = {
        "metadata": {"annotations": {trail.CLAIM: RELEASE}},
        "spec": {"replicas": 3, "template": template, **spec},
    }
    return {
        "number": 1,
        "time": at,
        "verb": verb,
        "resource": "deployments.apps",
        "subresource": "",
        "name": "hello",
        "manager": "pilothouse" if ours else "kubectl",
        "agent": "pilothouse/1" if ours else "kubectl",
        "object": item,
    }


WHOLE = [line(EventKind.CREATED), line(EventKind.PLANNED), line(EventKind.FINISHED)]


@pytest.mark.parametrize(
    ("lines", "found"),
    [(WHOLE, 0), (WHOLE[:2], 1), (WHOLE[1:], 1), ([*WHOLE, WHOLE[2]], 1), ([*WHOLE, WHOLE[1]], 1)],
)
def test_finds_a_missing_or_repeated_audit_line(lines: list[AuditLine], found: int) -> None:
    assert len(list(trail.incomplete([a_release(phase=Phase.SUCCEEDED)], lines))) == found


def test_finds_a_line_after_the_end() -> None:
    assert list(trail.in_order(WHOLE)) == []
    assert len(list(trail.in_order([*WHOLE, line(EventKind.STEP_DONE, "late")]))) == 1


def test_finds_a_click_that_counted_twice() -> None:
    vote = line(EventKind.VOTED, "the manager approved (1 of 1)")
    assert (
        list(trail.counted_twice([vote, line(EventKind.VOTED, "somebody else approved (2 of 2)")]))
        == []
    )
    assert list(trail.counted_twice([vote, vote])) == [
        f"{RELEASE}: 2 times `the manager approved (1 of 1)`"
    ]


def test_finds_a_write_without_an_earlier_audit_line() -> None:
    said = line(EventKind.WROTE, "patch deployment hello: template")
    assert list(trail.without_a_line([said], [write(), write(ours=False)])) == []
    assert len(list(trail.without_a_line([], [write()]))) == 1
    assert (
        len(
            list(trail.without_a_line([line(EventKind.WROTE, said.text, at=T0 + 5_000)], [write()]))
        )
        == 1
    )
    assert len(list(trail.without_a_line([said], [write(verb="delete")]))) == 1


def test_finds_a_write_of_a_paused_release_unless_it_is_for_safety() -> None:
    paused = line(EventKind.PAUSED, "paused by developer")
    safe = [
        line(EventKind.WROTE, text)
        for text in ("patch deployment hello: paused", "patch deployment hello-canary: replicas")
    ]
    rolls = line(EventKind.WROTE, "patch deployment hello: template")
    assert (
        list(trail.written_while_paused([rolls, paused, *safe, line(EventKind.RESUMED), rolls]))
        == []
    )
    assert len(list(trail.written_while_paused([paused, rolls]))) == 1
    assert (
        len(
            list(
                trail.written_while_paused(
                    [paused, line(EventKind.WROTE, "patch deployment hello: replicas")]
                )
            )
        )
        == 1
    )


def test_finds_a_doubled_effect() -> None:
    release = a_release(phase=Phase.SUCCEEDED)
    once = [
        write("hello:1", ours=False),
        write("hello:2"),
        write("hello:2", replicas=4),
        write("hello:1"),
    ]
    assert list(trail.done_twice([release], once)) == []
    assert len(list(trail.done_twice([release], [*once, write("hello:2")]))) >= 1


def test_an_object_created_again_after_a_delete_is_a_new_one() -> None:
    release = a_release(phase=Phase.SUCCEEDED)

    def emptied(uid: str) -> list[Json]:
        writes = [write(), write(replicas=0)]
        for one in writes:
            one["object"]["metadata"]["uid"] = uid
        return writes

    assert (
        list(
            trail.done_twice(
                [release], [*emptied("1"), write(verb="delete", ours=False), *emptied("2")]
            )
        )
        == []
    )
    assert list(trail.done_twice([release], [*emptied("1"), *emptied("1")])) != []


def message(key: str, text: str, ts: str = "1", *, buttons: bool = False) -> Json:
    return {
        "ts": ts,
        "text": text,
        "metadata": {"event_payload": {"key": key}},
        "blocks": [{"type": "actions", "elements": [{"action_id": "release:abort"}]}]
        if buttons
        else [],
    }


def test_finds_an_unreported_end_and_a_card_that_still_asks() -> None:
    over = a_release(phase=Phase.ABORTED, id=RELEASE)
    lines = [line(EventKind.FINISHED, "hello is back on 1.0.0 (aborted): aborted by developer")]
    told = message(f"{RELEASE}:7", f"<@U0DEV1> {lines[0].text}, took 3 s", "2")
    assert (
        unreported([over], [message(f"{RELEASE}:card", "hello 2.0.0 aborted"), told], lines) == []
    )
    assert len(unreported([over], [message(f"{RELEASE}:card", "hello 2.0.0: rolling")], lines)) == 1
    assert len(unreported([over], [told], lines)) == 1
    assert (
        len(
            unreported(
                [over],
                [message(f"{RELEASE}:card", "hello 2.0.0 aborted", buttons=True), told],
                lines,
            )
        )
        == 1
    )


def test_an_end_in_an_archived_channel_reaches_the_requester() -> None:
    over = a_release(phase=Phase.ABORTED, id=RELEASE)
    lines = [line(EventKind.FINISHED, "hello is back on 1.0.0: taken back by developer")]
    card = message(f"{RELEASE}:card", "hello 2.0.0")
    direct = {RELEASE: [message("", f"<@U0DEV1> {lines[0].text}, took 3 s")]}
    assert unreported([over], [card], lines, direct) == []
    assert (
        len(
            unreported([over], [card], lines, {RELEASE: [message("", "hello 2.0.0 waits for you")]})
        )
        == 1
    )
    assert len(unreported([over], [], lines, direct)) == 1


def test_only_a_refusal_by_slack_counts_as_archived() -> None:
    def call(release: str, error: str | None) -> Json:
        return {"error": error, "request": message(f"{release}:card", "")}

    assert refused_as_archived(
        [call("a-1", "is_archived"), call("a-2", "ratelimited"), call("a-3", None)]
    ) == {"a-1"}


def test_finds_a_doubled_message() -> None:
    assert (
        posted_twice([message("a", "x", "1"), message("a", "x", "1"), message("b", "x", "2")]) == []
    )
    assert posted_twice([message("a", "x", "1"), message("a", "x", "2")]) == [
        "a was posted 2 times"
    ]


def test_finds_leftovers_in_the_cluster() -> None:
    clean: list[Json] = [{"metadata": {"name": "hello"}}, {"metadata": {"name": "kubernetes"}}]
    assert list(leftovers.in_cluster(["hello"], clean)) == []
    left: list[Json] = [
        {"metadata": {"name": "hello-canary"}},
        {"metadata": {"name": "hello", "annotations": {trail.CLAIM: RELEASE}}},
    ]
    assert len(list(leftovers.in_cluster(["hello"], left))) == 2


@pytest.mark.parametrize(
    "leave",
    [
        lambda redis: redis.hset("pilothouse:lock-owner", "uid/default/Deployment/hello", RELEASE),
        lambda redis: redis.zadd("pilothouse:due", {f"release:{RELEASE}": T0}),
        lambda redis: redis.zadd("pilothouse:leased", {f"deliver:{RELEASE}": T0}),
        lambda redis: redis.hset("pilothouse:failures", f"release:{RELEASE}", 3),
        lambda redis: redis.hset("pilothouse:tokens", f"release:{RELEASE}", "1-1"),
        lambda redis: redis.hset("pilothouse:begun", f"deliver:{RELEASE}", "host|1|x"),
        lambda redis: redis.zadd(
            "pilothouse:lock-queue:uid/default/Deployment/hello", {RELEASE: 1}
        ),
        lambda redis: redis.set("pilothouse:passing:confirm:1", "for ever"),
    ],
)
def test_finds_leftovers_in_redis(redis_client: Redis, leave: Any) -> None:
    redis_client.set("pilothouse:dedup:1", RELEASE, px=60_000)
    redis_client.zadd("pilothouse:due", {"sweep": T0})
    assert list(leftovers.in_redis(redis_client)) == []
    leave(redis_client)
    assert list(leftovers.in_redis(redis_client)) != []
