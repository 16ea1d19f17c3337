"""Traces from the command to the last edit: one for each request, whichever process works on it.
Nothing is done where they are off."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bot import tracing
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.lifecycle.advance_release import advance_release
from bot.otel import OtelTracer, ids_of, make_provider
from bot.request_id import request_id
from bot.slack.client import counted
from config.settings import wants_traces
from tests.builders import a_release
from tests.unit.operations.test_advance_release import a_scene
from tests.unit.operations.test_answer_start import Desk

TYPED = "command:1234.5678"


class Process:
    """What one process sends: another one has another provider, and knows nothing of its spans."""

    def __init__(self, exporter: InMemorySpanExporter, name: str) -> None:
        provider = make_provider(name)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        self.tracer = OtelTracer(provider)


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    yield InMemorySpanExporter()
    tracing.use(None)


def named(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_command_and_what_a_worker_does_for_it_are_one_trace(
    exporter: InMemorySpanExporter,
) -> None:
    desk = Desk()
    tracing.use(Process(exporter, "bot").tracer)
    desk.type("deploy hello 2.0.0", TYPED)
    tracing.use(Process(exporter, "pilothouse-releases").tracer)
    tracing.wait_began(1_800_000_000.0)
    desk.read()
    found = named(exporter)
    trace_id, first = ids_of(request_id(TYPED))
    assert {span.context.trace_id for span in found.values()} == {trace_id}
    command, start, queue = (found[name] for name in ("command deploy", "start hello", "queue"))
    assert (command.parent, command.context.span_id) == (None, first)
    assert start.parent is not None and start.parent.span_id == first
    assert queue.parent is not None and queue.parent.span_id == start.context.span_id
    assert queue.start_time == 1_800_000_000 * 10**9
    assert command.resource.attributes["pilothouse.process"] == "bot"
    assert start.resource.attributes["service.name"] == "pilothouse"


def test_each_tick_and_each_delivery_belongs_to_the_command(exporter: InMemorySpanExporter) -> None:
    scene = a_scene(replace(a_release(), request_id="1a2b"))
    tracing.use(Process(exporter, "pilothouse-releases").tracer)
    advance_release(scene.context, scene.id)
    deliver_release(scene.context, scene.id)
    spans = exporter.get_finished_spans()
    assert {span.name for span in spans} == {"tick hello-1", "deliver hello-1"}
    trace_id, first = ids_of("1a2b")
    assert {(one.context.trace_id, one.parent.span_id) for one in spans if one.parent} == {
        (trace_id, first)
    }
    tick = next(span for span in spans if span.name == "tick hello-1")
    assert tick.attributes is not None and tick.attributes["pilothouse.release"] == "hello-1"


def test_calls_are_spans_of_what_they_are_made_for(exporter: InMemorySpanExporter) -> None:
    tracing.use(Process(exporter, "delivery").tracer)
    with tracing.span("deliver hello-1", of="1a2b"):
        with counted("chat.update"):
            pass
        with pytest.raises(OSError, match="a secret"), counted("chat.postMessage"):
            raise OSError("a secret")
    with counted("users.info"):
        pass  # for nobody's request
    found = named(exporter)
    assert set(found) == {"deliver hello-1", "slack chat.update", "slack chat.postMessage"}
    edit, post = found["slack chat.update"], found["slack chat.postMessage"]
    assert edit.parent is not None
    assert edit.parent.span_id == found["deliver hello-1"].context.span_id
    assert post.attributes is not None and post.attributes["pilothouse.code"] == "connection"
    assert (post.status.description, post.events) == ("OSError", ()), "no text of an error"


def test_a_server_gets_the_trace_context(exporter: InMemorySpanExporter) -> None:
    assert tracing.headers() == {}
    tracing.use(Process(exporter, "queries").tracer)
    with tracing.span("query pods", of="1a2b"):
        version, trace_id, _, flags = tracing.headers()["traceparent"].split("-")
    assert (version, int(trace_id, 16), flags) == ("00", ids_of("1a2b")[0], "01")


def test_all_processes_sample_a_request_or_none(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    for number in range(40):
        tracing.use(Process(exporter, "bot").tracer)
        with tracing.span("command", of=str(number), begins=True):
            pass
        tracing.use(Process(exporter, "worker").tracer)
        with tracing.span("start", of=str(number)):
            pass
    by_name: dict[str, set[int]] = {"command": set(), "start": set()}
    for span in exporter.get_finished_spans():
        by_name[span.name].add(span.context.trace_id)
    assert by_name["command"] == by_name["start"]
    assert 5 < len(by_name["command"]) < 35


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_variables_of_opentelemetry_turn_it_on(
    environment: dict[str, str], wanted: bool
) -> None:
    assert wants_traces(environment) is wanted


def test_nothing_is_imported_where_it_is_off() -> None:
    code = (
        "import sys, bot.wiring, jobs.worker; from bot import tracing;"
        " tracing.begin('bot', wanted=False);"
        " print([n for n in sys.modules if n == 'bot.otel' or 'opentelemetry.sdk.trace' in n])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert ran.stdout == "[]\n"
    with tracing.span("tick", of="1a2b") as nothing:
        assert nothing is None
