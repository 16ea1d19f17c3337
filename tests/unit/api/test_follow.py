"""A machine follows a release: as it is, its plan, and its events from any place."""

from __future__ import annotations

import json
from dataclasses import replace

from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase
from tests.blocks.stories import PROMOTING
from tests.builders import T0
from tests.unit.api.conftest import READER, Door

Sent = dict[str, str]


def over(door: Door) -> None:
    """hello-1 runs to its end."""
    door.post()
    first = replace(door.store.load("hello-1"), phase=Phase.PROGRESSING)
    begun = door.store.save(first, (Event(T0, EventKind.STEP_BEGAN, "roll"),), operation="one")
    ended = Event(T0 + 1, EventKind.FINISHED, "2.0.0 serves")
    door.store.save(replace(begun, phase=Phase.SUCCEEDED), (ended,), operation="two")


def events_in(text: str) -> list[Sent]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        found += [fields] if fields else []
    return found


def test_a_release_is_read_as_it_is(door: Door) -> None:
    door.post()
    shown = door.get("hello-1", token=READER).json()
    assert (shown["id"], shown["phase"], shown["is_final"]) == ("hello-1", "queued", False)
    assert (shown["version"], shown["finished_at"], shown["step"]) == ("2.0.0", None, None)


def test_a_release_of_another_app_is_not_there(door: Door) -> None:
    door.post()
    door.grant(apps=frozenset({"auth"}))
    answers = [door.get(path) for path in ("hello-1", "hello-1/plan", "hello-1/events", "hello-9")]
    assert {(one.status_code, one.json()["code"]) for one in answers} == {(404, "not_found")}
    assert len({one.json()["detail"] for one in answers}) == 1


def test_a_plan_is_there_once_it_was_made(door: Door) -> None:
    door.post()
    assert door.get("hello-1/plan").json()["code"] == "not_found"
    planned = replace(door.store.load("hello-1"), plan=PROMOTING.plan)
    door.store.save(planned, (), operation="planned")
    plan = door.get("hello-1/plan").json()
    assert PROMOTING.plan is not None
    assert plan["hash"] == PROMOTING.plan.hash
    assert [one["title"] for one in plan["steps"]] == [one.title for one in PROMOTING.plan.steps]


def test_what_it_waits_for_is_told(door: Door) -> None:
    door.post()
    waiting = replace(
        PROMOTING, id="hello-1", version=1, requested_by=door.store.load("hello-1").requested_by
    )
    door.store.save(waiting, (), operation="waits")
    approval = door.get("hello-1").json()["approval"]
    assert (approval["role"], approval["needed"], approval["given"]) == ("approver", 1, 0)


def test_the_stream_tells_everything_in_order_and_ends(door: Door) -> None:
    over(door)
    answer = door.get("hello-1/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    *told, end = events_in(answer.text)
    assert [one["event"] for one in told] == ["created", "step_began", "finished"]
    assert json.loads(told[-1]["data"])["text"] == "2.0.0 serves"
    assert (end["event"], json.loads(end["data"])) == ("end", {"phase": "succeeded"})


def test_a_stream_continues_behind_the_last_event_that_arrived(door: Door) -> None:
    over(door)
    told = events_in(door.get("hello-1/events").text)
    again = events_in(door.get("hello-1/events", Last_Event_ID=told[0]["id"]).text)
    assert again == told[1:]
    refused = door.get("hello-1/events", Last_Event_ID="yesterday")
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")


def test_the_description_covers_every_code_and_route(door: Door) -> None:
    shown = door.client.send("GET", "/api/v1/openapi.json").json()
    assert set(shown["paths"]) == {
        "/api/v1/releases",
        "/api/v1/releases/{release}",
        "/api/v1/releases/{release}/plan",
        "/api/v1/releases/{release}/events",
    }
    told = json.dumps(shown["paths"])
    codes = set(shown["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])
    assert {code for code in codes if f"`{code}`" not in told} == {"method_not_allowed"}
