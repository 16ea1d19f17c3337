"""What receivers get of a release, over HTTP: signed CDEvents, deployments at GitHub and GitLab."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bot.ports import AuditLine, Happened, Receiver, ReceiverAway, ReceiverRefused
from bot.receivers.adapter import HttpReceivers
from bot.receivers.cdevents import events_of
from bot.receivers.transport import WITHIN_S, call
from bot.releases.facts.changes import Deploy, Scale
from bot.releases.facts.release import Phase, Release
from bot.work_queue import JOB_TIMEOUT_S
from tests.blocks.stories import PROMOTING
from tests.builders import T0

SECRET = "a-secret-of-the-tests"
CARD = "https://example.slack.com/archives/C0RELEASES/p1"
RELEASE = replace(PROMOTING, change=Deploy("2.0.0"), to_version="2.0.0", created_at=T0)


def happened(kind: str, release: Release = RELEASE) -> Happened:
    line = AuditLine(T0, release.id, release.target.app, kind, f"it was {kind}", "")
    return Happened("1-0", line, release, CARD)


def over(phase: Phase) -> Release:
    return replace(RELEASE, phase=phase)


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes


@dataclass
class SimulatedReceiver:
    """Replies what ``reply`` says: (status, JSON)."""

    reply: Callable[[Request], tuple[int, Any]] = lambda _: (200, None)
    requests: list[Request] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def receiver() -> Iterator[SimulatedReceiver]:
    known = SimulatedReceiver()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(raw) if raw else None
            request = Request(self.command, self.path, headers, body, raw)
            known.requests.append(request)
            status, found = known.reply(request)
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if status in (302, 307):
                self.send_header("Location", f"{known.url}/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = answer  # noqa: N815 — as the base class calls them

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield known
    server.shutdown()
    server.server_close()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    return str(tmp_path / "secret")


def send(url: str, what: Happened, format: Any, secret: str, repository: str = "") -> None:  # noqa: A002
    part, receiver = 0, Receiver("aaaa", url, format, repository, secret)
    while HttpReceivers().send(receiver, what, part):
        part += 1


def test_a_release_is_a_pipeline_run_and_its_end_changes_a_service() -> None:
    kinds = [
        event["type"]
        for kind, release in (
            ("created", RELEASE),
            ("planned", RELEASE),
            ("finished", over(Phase.SUCCEEDED)),
        )
        for event in events_of(happened(kind, release))
    ]
    assert kinds == [
        "dev.cdevents.pipelinerun.queued.0.2.0",
        "dev.cdevents.pipelinerun.started.0.2.0",
        "dev.cdevents.pipelinerun.finished.0.2.0",
        "dev.cdevents.service.upgraded.0.2.0",
    ]


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [(Phase.SUCCEEDED, "success"), (Phase.ROLLED_BACK, "failure"), (Phase.ABORTED, "cancel")],
)
def test_the_outcome_of_a_run_is_the_end_of_the_release(phase: Phase, outcome: str) -> None:
    first = next(events_of(happened("finished", over(phase))))
    assert first["data"]["subject"]["content"]["outcome"] == outcome


def test_an_event_is_a_cdevent_in_a_cloudevent_with_an_id_that_stays() -> None:
    event, again = (
        list(events_of(happened("finished", over(Phase.SUCCEEDED))))[-1] for _ in range(2)
    )
    assert event == again
    assert event["specversion"] == "1.0" and event["id"] == f"{RELEASE.id}/1-0/upgraded"
    context, subject = event["data"]["context"], event["data"]["subject"]
    shared = {name: context[name] for name in ("id", "source", "type")}
    assert shared == {name: event[name] for name in ("id", "source", "type")}
    assert context["version"] == "0.4.1" and subject["id"] == "hello"
    assert subject["content"]["environment"] == {"id": "local/default"}
    assert subject["content"]["artifactId"].startswith("pkg:oci/hello?repository_url=")


def test_each_event_is_signed_over_id_time_and_body(
    receiver: SimulatedReceiver, secret: str
) -> None:
    send(receiver.url, happened("created"), "cdevents", secret)
    (request,) = receiver.requests
    told, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    digest = hmac.digest(SECRET.encode(), f"{told}.{stamp}.".encode() + request.raw, sha256)
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert request.headers["content-type"].startswith("application/cloudevents+json")


@pytest.mark.parametrize("status", [307, 401, 403, 408, 429, 500, 503])
def test_what_may_be_mended_is_tried_again(
    receiver: SimulatedReceiver, secret: str, status: int
) -> None:
    receiver.reply = lambda _: (status, None)
    with pytest.raises(ReceiverAway):
        send(receiver.url, happened("created"), "cdevents", secret)
    assert len(receiver.requests) == 1  # no redirect is followed


@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_is_refused_is_not(receiver: SimulatedReceiver, secret: str, status: int) -> None:
    receiver.reply = lambda _: (status, None)
    with pytest.raises(ReceiverRefused):
        send(receiver.url, happened("created"), "cdevents", secret)


def test_a_receiver_that_is_not_there_and_a_secret_that_is_not_there_are_waited_for(
    secret: str, tmp_path: Path
) -> None:
    with pytest.raises(ReceiverAway):
        send("http://127.0.0.1:1", happened("created"), "cdevents", secret)
    with pytest.raises(ReceiverAway, match="secret"):
        send("http://127.0.0.1:1", happened("created"), "cdevents", str(tmp_path / "none"))


def test_a_receiver_that_hangs_is_left(receiver: SimulatedReceiver) -> None:
    ended = threading.Event()
    receiver.reply = lambda _: (200, ended.wait(10))
    with pytest.raises(ReceiverAway, match="TimeoutError"):
        call("GET", receiver.url, {}, within_s=0.1)
    ended.set()
    assert WITHIN_S < JOB_TIMEOUT_S


def test_a_release_is_one_deployment_at_github_with_its_statuses(
    receiver: SimulatedReceiver, secret: str
) -> None:
    made: list[dict[str, Any]] = []

    def reply(request: Request) -> tuple[int, Any]:
        if request.method == "GET":
            return 200, [{"id": 7}] if made else []
        made.extend([request.body] if request.path.endswith("/deployments") else [])
        return 201, {"id": 7}

    receiver.reply = reply
    for kind, release in (
        ("created", RELEASE),
        ("planned", RELEASE),
        ("finished", over(Phase.SUCCEEDED)),
        ("finished", over(Phase.ABORTED)),
    ):
        send(receiver.url, happened(kind, release), "github", secret, "example/hello")
    (deployment,) = made
    assert deployment["ref"] == "2.0.0" and deployment["environment"] == "local/hello"
    assert deployment["task"] == f"deploy:{RELEASE.id}" and deployment["required_contexts"] == []
    statuses = [one.body for one in receiver.requests if one.path.endswith("/7/statuses")]
    states = [one["state"] for one in statuses]
    assert states == ["queued", "in_progress", "success", "inactive"]
    assert statuses[0]["log_url"] == CARD
    assert {one.headers["authorization"] for one in receiver.requests} == {f"Bearer {SECRET}"}


def test_a_version_without_a_commit_at_github_is_refused_in_words(
    receiver: SimulatedReceiver, secret: str
) -> None:
    receiver.reply = lambda one: (200, []) if one.method == "GET" else (422, {})
    with pytest.raises(ReceiverRefused, match=r"is `2\.0\.0` a tag, a branch or a commit there"):
        send(receiver.url, happened("created"), "github", secret, "example/hello")


def test_a_release_is_one_deployment_at_gitlab(receiver: SimulatedReceiver, secret: str) -> None:
    older = {"id": 1, "sha": "abc", "status": "success", "created_at": "2020-01-01T00:00:00Z"}
    known: list[dict[str, Any]] = [older]

    def reply(request: Request) -> tuple[int, Any]:
        if "/repository/commits/2.0.0" in request.path:
            return 200, {"id": "abc"}
        if request.method == "POST":
            created_at = "2027-01-15T08:00:01.000Z"
            known.insert(0, {**request.body, "id": 2, "created_at": created_at})
        if request.method == "PUT":
            known[0]["status"] = request.body["status"]
        return 200, known

    receiver.reply = reply
    seen = []
    for kind, release in (
        ("created", RELEASE),
        ("created", RELEASE),
        ("planned", RELEASE),
        ("finished", over(Phase.ROLLED_BACK)),
    ):
        send(receiver.url, happened(kind, release), "gitlab", secret, "shop/hello")
        seen.append((len(known), known[0]["status"]))
    assert seen == [(2, "created"), (2, "created"), (2, "running"), (2, "failed")]
    assert known[0]["environment"] == "local/hello" and known[0]["ref"] == "2.0.0"
    assert receiver.requests[0].path.startswith("/api/v4/projects/shop%2Fhello/")
    assert receiver.requests[0].headers["private-token"] == SECRET


@pytest.mark.parametrize("format", ["github", "gitlab"])
def test_a_scale_is_no_deployment(receiver: SimulatedReceiver, secret: str, format: str) -> None:  # noqa: A002
    scaled = replace(RELEASE, change=Scale(5))
    send(receiver.url, happened("created", scaled), format, secret, "example/hello")
    assert receiver.requests == []
