"""What one process asks of one API server: a budget, and a pause after failures in a row. Neither
holds up a way back."""

from __future__ import annotations

import logging
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml

from bot.cluster.connect import ClusterAddress, Connection
from bot.cluster.restraint import FAILURES, LEFT_ALONE_S, Restraint
from bot.ports import ClusterUnreachable
from bot.releases.facts.changes import Undo
from bot.releases.facts.release import Phase, Rollback
from bot.releases.facts.requests import Abort, Asked
from bot.request_id import working_for
from bot.tally import Tally
from tests.builders import DEVELOPER, T0, a_release

AWAY = ClusterUnreachable("the API server eu did not answer within 3 s")


@dataclass
class Hours:
    """A clock, and a sleep that only moves it."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def hours() -> Hours:
    return Hours()


def fail(restraint: Restraint, hours: Hours, times: int = FAILURES) -> None:
    for _ in range(times):
        restraint.admit()
        began = hours.now
        hours.now += 3.0
        restraint.failed(began, AWAY)


def test_a_cluster_that_fails_in_a_row_is_left_alone_with_one_line(
    hours: Hours, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    restraint = Restraint("eu", clock=hours, tally=Tally())
    fail(restraint, hours)
    for _ in range(3):
        with pytest.raises(ClusterUnreachable, match="did not answer within 3 s"):
            restraint.admit()
    hours.now += LEFT_ALONE_S
    fail(restraint, hours, 1)  # one request was let through, and failed too
    with pytest.raises(ClusterUnreachable):
        restraint.admit()
    hours.now += LEFT_ALONE_S
    restraint.admit()
    restraint.answered()
    restraint.admit()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.messages == [
        f"cluster eu failed 3 times in a row: {AWAY.why}. It is left alone for 5 s at a time",
        "cluster eu answers again",
    ]


def test_reads_that_fail_together_count_once(hours: Hours) -> None:
    restraint = Restraint("eu", clock=hours, tally=Tally())
    began = hours.now
    hours.now += 3.0
    for _ in range(8):
        restraint.failed(began, AWAY)
    restraint.admit()


def test_an_answer_between_failures_begins_the_count_anew(hours: Hours) -> None:
    restraint = Restraint("eu", clock=hours, tally=Tally())
    for _ in range(FAILURES):
        fail(restraint, hours, FAILURES - 1)
        restraint.answered()
    restraint.admit()


def test_a_way_back_is_sent_in_a_pause_and_its_answer_ends_it(hours: Hours) -> None:
    restraint = Restraint("eu", clock=hours, tally=Tally())
    fail(restraint, hours)
    with working_for("1a2b", "hello-1", is_way_back=True):
        restraint.admit()
    restraint.answered()
    restraint.admit()


def test_requests_beyond_the_budget_wait_and_a_way_back_does_not(hours: Hours) -> None:
    tally = Tally()
    restraint = Restraint("eu", per_s=10, burst=5, clock=hours, sleep=hours.sleep, tally=tally)
    for _ in range(5):
        restraint.admit()
    assert not hours.slept
    with working_for("1a2b", "hello-1", is_way_back=True):
        restraint.admit()
    assert not hours.slept
    restraint.admit()
    assert hours.slept == [pytest.approx(0.1)]
    assert tally.take() == {"kubernetes_waits:eu": 1, "kubernetes_waited_ms:eu": 100}
    assert tally.take_least() == {"budget left eu": 0}
    hours.now += 60.0
    for _ in range(5):
        restraint.admit()
    assert len(hours.slept) == 1


def test_what_restores_production_is_a_way_back() -> None:
    release = a_release()
    assert not release.is_way_back
    assert a_release(Undo()).is_way_back
    assert a_release(rollback=Rollback(Phase.ROLLED_BACK)).is_way_back
    assert a_release(asked=(Asked(Abort(DEVELOPER), T0),)).is_way_back


class ApiServer(socketserver.ThreadingTCPServer):
    """Hangs up, until it is well."""

    daemon_threads = True
    is_well = False
    asked = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, ApiServer)
            self.server.asked += 1
            if self.server.is_well:
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, *_arguments: object) -> None:
            pass


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(("127.0.0.1", 0), ApiServer.Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_a_cluster_that_answers_again_is_asked_at_once_by_a_rollback(
    server: ApiServer, tmp_path: Path, hours: Hours
) -> None:
    path = tmp_path / "kubeconfig"
    config = {
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
        ],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    connection = Connection(ClusterAddress(str(path)), restraint=Restraint("eu", tally=Tally()))
    for _ in range(FAILURES + 4):
        with pytest.raises(ClusterUnreachable):
            connection.get("/version")
    assert server.asked == FAILURES, "then it is left alone"
    server.is_well = True
    with working_for("1a2b", "hello-1", is_way_back=True):
        assert connection.get("/version") == {}
    assert connection.get("/version") == {}, "for all others too"
