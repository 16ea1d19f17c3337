"""Traces of real processes: bot and worker send theirs to a receiver of OTLP, and they are one."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sandbox.main import Sandbox, run_sandbox
from tests.conftest import eventually

CHANNEL, DEVELOPER = "C0RELEASES", "U0DEV1"


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps every span with the process that sent it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[tuple[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def names(self, trace_id: bytes) -> dict[str, str]:
        """The spans of a trace: who sent one of that name last."""
        return {span.name: sent_by for sent_by, span in self.spans if span.trace_id == trace_id}

    def without_parent(self, first: Any) -> list[str]:
        ours = [span for _, span in self.spans if span.trace_id == first.trace_id]
        ids = {b"", *(span.span_id for span in ours)}
        return [span.name for span in ours if span.parent_span_id not in ids]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Receiver)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                sent_by = about["pilothouse.process"]
                self.server.spans += [(sent_by, span) for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield running
        running.shutdown()


@pytest.fixture
def sandbox(receiver: Receiver) -> Iterator[Sandbox]:
    del receiver  # it is in the environment
    with run_sandbox(rate_scale=0) as running:
        yield running


@pytest.mark.slow
def test_a_release_is_one_trace_from_the_command_to_the_last_edit(
    receiver: Receiver, sandbox: Sandbox
) -> None:
    sandbox.slack.command(DEVELOPER, CHANNEL, "/deploy hello 2.0.0")

    def is_on() -> bool:
        found = sandbox.slack.messages(CHANNEL, DEVELOPER)
        return any("hello is on 2.0.0" in one.get("text", "") for one in found)

    assert eventually(is_on, 90)
    assert eventually(lambda: any(s.name == "command deploy" for _, s in receiver.spans))
    (command,) = [span for _, span in receiver.spans if span.name == "command deploy"]
    wanted = {
        "command deploy": "bot",
        "start hello": "pilothouse-releases",
        "tick hello-1": "pilothouse-releases",
        "kubernetes GET": "pilothouse-releases",
        "kubernetes PATCH": "pilothouse-releases",
        "deliver hello-1": "pilothouse-delivery",
        "slack chat.postMessage": "pilothouse-delivery",
        "slack chat.update": "pilothouse-delivery",
    }
    assert eventually(lambda: wanted.items() <= receiver.names(command.trace_id).items()), (
        receiver.names(command.trace_id)
    )
    assert "queue" in receiver.names(command.trace_id)
    assert not command.parent_span_id
    assert eventually(lambda: not receiver.without_parent(command)), "a span is sent at its end"
