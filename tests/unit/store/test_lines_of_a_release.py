"""What the log says of a release: one line for each thing that it does."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
from redis import Redis

from bot.releases.facts.events import Event, EventKind
from bot.request_id import working_for
from bot.store import RedisReleaseStore
from config.logs import JsonLines
from tests.builders import DEVELOPER, a_release


def test_each_event_is_one_line_with_release_app_cluster_and_request(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="bot.store.releases")
    store = RedisReleaseStore(redis_client)
    draft = replace(a_release(), request_id="1a2b")
    release = store.create(draft, dedup_key="command:17", same_as="", operation="1").release
    paused = Event(release.created_at, EventKind.PAUSED, "paused: the card of Ann", DEVELOPER)
    store.save(release, [paused], operation="2")
    store.create(draft, dedup_key="command:17", same_as="", operation="3")
    created, second = caplog.messages
    where = f"release={release.id} app=hello cluster=local phase={release.phase.value}"
    assert created == f"{where} event=created request=1a2b"
    assert second == f"{where} event=paused request=1a2b"


def test_an_event_that_a_click_brings_about_names_the_click(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="bot.store.releases")
    store = RedisReleaseStore(redis_client)
    draft = replace(a_release(), request_id="start")
    release = store.create(draft, dedup_key="", same_as="", operation="1").release
    paused = Event(release.created_at, EventKind.PAUSED, "paused", DEVELOPER)
    with working_for("click"):
        store.save(release, [paused], operation="2")
    assert caplog.messages[-1].endswith("event=paused request=click")
    assert [line.request_id for line in store.audit()] == ["click", "start"]


def test_lines_for_machines_have_the_names_as_fields(
    redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="bot.store.releases")
    draft = replace(a_release(), request_id="start")
    RedisReleaseStore(redis_client).create(draft, dedup_key="", same_as="", operation="1")
    line = json.loads(JsonLines().format(caplog.records[-1]))
    assert (line["release"], line["app"], line["cluster"]) == ("hello-1", "hello", "local")
    assert (line["event"], line["request"]) == ("created", "start")
