"""One id follows a command or a click: into the log, the release, its audit, and the work of each
tick."""

from __future__ import annotations

import logging

import pytest

from bot.operations.intake.handle_click import handle_click
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.operations.requests import Click
from bot.releases.facts.events import EventKind
from bot.releases.facts.requests import Abort
from bot.request_id import Work, current_work, request_id, working_for
from tests.builders import DEVELOPER
from tests.unit.operations.test_advance_release import Scene, scene
from tests.unit.operations.test_answer_start import Desk

__all__ = ["scene"]
TYPED = "command:1234.5678"


def test_the_id_of_a_command_is_in_its_release_and_in_each_audit_line() -> None:
    desk = Desk()
    desk.type("deploy hello 2.0.0", TYPED)
    desk.read()
    (release,) = desk.store.active()
    assert release.request_id == request_id(TYPED)
    assert {line.request_id for line in desk.store.audit()} == {request_id(TYPED)}


def test_a_command_is_one_line_with_its_id_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk()
    desk.type('deploy hello 2.0.0 reason="a secret"', TYPED)
    (line,) = caplog.messages
    asked = f"request={request_id(TYPED)} command=deploy user={DEVELOPER.user}"
    assert line == f"{asked} channel=C0RELEASES slack={TYPED}"


def test_a_click_is_one_line_with_its_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    value = '{"what": "help"}'
    key = "click:1.2:ph_show:3.4"
    handle_click(Desk().context, Click(DEVELOPER, "C1", "show", value, "1.2", dedup_key=key))
    found = request_id(key)
    assert caplog.messages[0] == (
        f"request={found} click=show user={DEVELOPER.user} channel=C1 release= slack={key}"
    )
    assert f"request={found} command=help" in caplog.messages[1]


def test_what_follows_from_a_click_is_done_for_the_click(scene: Scene) -> None:
    advance_release(scene.context, scene.id)
    before = len(scene.store.audit())
    with working_for("click"):
        control_release(scene.context, scene.id, Abort(DEVELOPER), "aborted")
    during: set[Work] = set()
    scene.store.visitor = lambda: during.add(current_work())
    for _ in range(4):
        advance_release(scene.context, scene.id)
        scene.port.model.beat()
    assert during == {Work("click", scene.id, is_way_back=True)}
    later = scene.store.audit()[: len(scene.store.audit()) - before]
    assert EventKind.ROLLING_BACK.value in {line.kind for line in later}
    assert {line.request_id for line in later} == {"click"}
    assert scene.store.load(scene.id).request_id == ""
