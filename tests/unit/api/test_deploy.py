"""`pilothouse deploy`: a pipeline ends as its release ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.api.server import ApiServer
from bot.api_client import ApiClient, Away, Event, Refused
from bot.deploy import Display, follow, main, state_of
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import Event as Happened
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Phase
from config.api_access import TOKEN_FILE, URL, ApiAccess, read_api_access
from tests.builders import T0
from tests.unit.api.conftest import ASKING, CI, RELEASE, Door

KEY = "build-4711"
ARGUMENTS = ["hello", "2.0.0", "--key", KEY]
Deploy = Callable[..., int]


@pytest.fixture
def served(door: Door) -> Iterator[str]:
    server = ApiServer(lambda: door.context, door.metrics, "127.0.0.1", 0)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def deploy(door: Door, served: str, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    monkeypatch.setenv(URL, served)
    monkeypatch.setenv(TOKEN_FILE, str(door.folder / "ci"))
    return lambda *more: main([*ARGUMENTS, *more])


def end(door: Door, phase: Phase) -> None:
    """The release that the same key started is over."""
    door.post(RELEASE, key=KEY)
    cause = Cause(FailureClass.PERSISTENT, "the pods keep ending")
    over = replace(door.store.load("hello-1"), phase=phase, cause=cause)
    door.store.save(over, (Happened(T0, EventKind.FINISHED, "it is over"),), operation="over")


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        (Phase.SUCCEEDED, 0),
        (Phase.FAILED, 1),
        (Phase.ROLLED_BACK, 3),
        (Phase.ABORTED, 4),
        (Phase.REJECTED, 4),
        (Phase.EXPIRED, 4),
    ],
)
def test_it_ends_as_the_release_ends(
    door: Door, deploy: Deploy, phase: Phase, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    end(door, phase)
    assert deploy("--wait") == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "hello-1: hello 2.0.0 rolling on local"
    assert [line[9:] for line in lines[1:-1]] == [
        "created: deploy hello 2.0.0 rolling",
        "finished: it is over",
    ]
    assert lines[-1] == f"hello-1 {phase.value.replace('_', ' ')}: the pods keep ending"


def test_without_wait_an_accepted_release_is_enough(door: Door, deploy: Deploy) -> None:
    assert deploy() == 0
    assert door.store.load("hello-1").requested_by.caller == "ci"


def test_a_refusal_is_one_line_and_starts_nothing(
    door: Door, deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    door.set_rules(ASKING)
    assert deploy("--wait") == 5
    assert capsys.readouterr().err.startswith("refused (triggered_by_required): ")
    assert deploy("--triggered-by", "U0DEV2") == 0


def test_it_follows_no_longer_than_it_was_told(
    door: Door, deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("--wait", "--timeout", "0") == 7
    assert "hello-1 continues" in capsys.readouterr().out


@pytest.mark.parametrize("missing", [URL, TOKEN_FILE])
def test_it_says_which_setting_is_missing(
    deploy: Deploy,
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(missing)
    assert deploy() == 2
    assert capsys.readouterr().err == f"{missing} is not set\n"


def access(tmp_path: Path, url: str) -> ApiAccess:
    (tmp_path / "token").write_text(f"{CI}\n")
    return read_api_access({URL: url, TOKEN_FILE: str(tmp_path / "token")})


@pytest.mark.parametrize("url", ["http://api.example.com", "ftp://127.0.0.1", "api.example.com"])
def test_a_token_goes_to_no_address_that_may_be_read_on_the_way(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match=r"https"):
        access(tmp_path, url)


@pytest.mark.parametrize("url", ["http://pilothouse-api.a.svc", "http://[::1]:1", "https://a.b"])
def test_inside_of_a_cluster_plain_http_will_do(tmp_path: Path, url: str) -> None:
    assert access(tmp_path, f"{url}/") == ApiAccess(url, CI)


class Interrupted(ApiClient):
    """Its user presses Ctrl-C."""

    def events(self, name: str, ends_at: float | None = None) -> Iterator[Event]:
        yield Event("1-0", "created", {"at": "2027-01-15T08:00:00Z", "text": "\x1b[2Jred"})
        raise KeyboardInterrupt

    def release(self, name: str) -> dict[str, Any]:
        return {"id": name, "phase": "queued"}


def test_ctrl_c_says_that_the_release_continues_and_how_to_stop_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = Display(Console())
    assert follow(Interrupted("http://127.0.0.1", CI), {"id": "hello-1"}, shown, None) == 130
    told = " ".join(capsys.readouterr().out.split())
    assert "08:00:00 created: [2Jred" in told
    assert "interrupted. hello-1 continues." in told and "/rollout abort hello" in told


def test_a_server_that_is_away_is_asked_again_for_a_minute() -> None:
    times = iter(range(0, 100, 10))
    pauses: list[float] = []
    client = ApiClient("http://127.0.0.1:1", CI, clock=lambda: next(times), pause=pauses.append)
    with pytest.raises(Away):
        client.start({}, KEY)
    assert len(pauses) == 5


def test_a_wrong_token_is_not_tried_again(served: str, tmp_path: Path) -> None:
    client = ApiClient(served, CI[::-1])
    with pytest.raises(Refused) as refused:
        client.release("hello-1")
    assert (refused.value.status, refused.value.code) == (401, "invalid_token")


def test_a_stream_that_is_cut_off_continues_where_it_was(door: Door) -> None:
    """Another bot takes over."""
    first = ApiServer(lambda: door.context, door.metrics, "127.0.0.1", 0)
    first.start()
    door.post(key=KEY)
    url = f"http://127.0.0.1:{first.port}"
    events = ApiClient(url, CI, pause=lambda _: time.sleep(0.02)).events("hello-1")
    told = [next(events).kind]
    first.stop()
    end(door, Phase.SUCCEEDED)
    second = ApiServer(lambda: door.context, door.metrics, "127.0.0.1", first.port)
    second.start()
    told += [event.kind for event in events]
    second.stop()
    assert told == ["created", "finished", "end"]


def test_the_last_line_says_whom_it_waits_for() -> None:
    release = {
        "id": "hello-1",
        "phase": "awaiting_promotion",
        "step": {"number": 2, "of": 5, "title": "20% of traffic"},
        "approval": {"given": 0, "needed": 1, "what": "promote to everyone"},
    }
    assert state_of(release) == (
        "hello-1 · awaiting promotion · step 2 of 5 20% of traffic"
        " · 0 of 1 approvals in Slack: promote to everyone"
    )
