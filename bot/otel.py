"""Traces by OpenTelemetry's SDK. Imported only where they are wanted."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Value = str | int | float
LAST_MS = 2_000
_first_ids: ContextVar[tuple[int, int] | None] = ContextVar("first ids", default=None)


def ids_of(request: str) -> tuple[int, int]:
    """(trace id, id of its first span) of a request."""
    digest = hashlib.sha256(f"pilothouse:{request}".encode()).digest()
    return int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")


class _Ids:
    """An IdGenerator: the first span of a trace has the ids that follow from its request."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        given = _first_ids.get()
        return int(given[0] if given else self._random.generate_trace_id())

    def generate_span_id(self) -> int:
        given = _first_ids.get()
        return int(given[1] if given else self._random.generate_span_id())

    def is_trace_id_random(self) -> bool:
        return False


def make_provider(process: str) -> Any:
    """Name, sampler and limits as the variables of OpenTelemetry say."""
    resource = Resource.create({"pilothouse.process": process})
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "pilothouse"}))
    return TracerProvider(resource=resource, id_generator=_Ids())


def make_tracer(process: str) -> OtelTracer:
    provider = make_provider(process)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OtelTracer(provider)


class OtelTracer:
    """See bot.tracing. Errors are kept by their type: their texts may quote what a container
    printed."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("pilothouse")
        self._wait_began_at: float | None = None

    def span(
        self, name: str, of: str, begins: bool, attributes: Mapping[str, Value]
    ) -> AbstractContextManager[None]:
        return self._span(name, of, begins, attributes)

    @contextmanager
    def _span(
        self, name: str, of: str, begins: bool, attributes: Mapping[str, Value]
    ) -> Iterator[None]:
        around = trace.get_current_span().get_span_context()
        if not of and not around.is_valid:
            yield
            return
        opened = self._opened(name, of, begins and around.trace_id != ids_of(of)[0], attributes)
        with trace.use_span(
            opened, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            if of:
                self._end_wait()
            try:
                yield
            except BaseException as error:
                opened.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise

    def _opened(self, name: str, of: str, begins: bool, attributes: Mapping[str, Value]) -> Any:
        if begins:
            token = _first_ids.set(ids_of(of))
            try:
                return self._tracer.start_span(name, contexts.Context(), attributes=attributes)
            finally:
                _first_ids.reset(token)
        return self._tracer.start_span(name, self._parent(of), attributes=attributes)

    def _parent(self, of: str) -> Any:
        """None: the span around."""
        around = trace.get_current_span().get_span_context()
        if not of or around.trace_id == ids_of(of)[0]:
            return None
        trace_id, span_id = ids_of(of)
        found = self._provider.sampler.should_sample(None, trace_id, "")
        flags = trace.TraceFlags(int(found.decision.is_sampled()))
        first = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(first), contexts.Context())

    def wait_began(self, at_s: float) -> None:
        self._wait_began_at = at_s

    def _end_wait(self) -> None:
        began, self._wait_began_at = self._wait_began_at, None
        if began is not None:
            self._tracer.start_span("queue", start_time=round(began * 1e9)).end(time.time_ns())

    def describe(self, name: str, attributes: Mapping[str, Value]) -> None:
        current = trace.get_current_span()
        if name:
            current.update_name(name)
        current.set_attributes(dict(attributes))

    def headers(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier

    def end(self) -> None:
        self._provider.force_flush(LAST_MS)
