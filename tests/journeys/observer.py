"""Watches which pods a Service reaches through a whole release, ordered by the cluster's own
revisions.

A poll would miss states. A watch of EndpointSlices gets every one, and a watch of the Service gets
each switch. etcd numbers all writes of a cluster, so the order does not depend on when an event
arrived.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client, watch

from tests.journeys.conftest import Journey

Json = dict[str, Any]


@dataclass(frozen=True)
class Behind:
    """Ready addresses of a Service by version from one moment to the next. ``revision``: the
    cluster's count of writes."""

    revision: int
    at: float
    versions: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return ", ".join(f"{count} of {version}" for version, count in self.versions) or "nobody"


@dataclass(frozen=True)
class Selected:
    revision: int
    at: float
    selector: dict[str, str]


@dataclass
class Seen:
    """Every set of pods that the Service reached, and every selector it had, in order."""

    service: str
    slices: list[tuple[int, float, str, tuple[str, ...] | None]] = field(
        default_factory=list
    )  # revision, at, slice, ready pods
    selectors: list[Selected] = field(default_factory=list)
    pods: dict[str, str] = field(default_factory=dict)  # name -> version, of pods long gone too
    ending: dict[str, float] = field(default_factory=dict)  # name -> when it first had to end

    @property
    def states(self) -> list[Behind]:
        """Each different state once, in the order of the cluster's writes."""
        parts: dict[str, tuple[str, ...]] = {}
        found: list[Behind] = []
        for revision, at, name, ready in sorted(self.slices, key=lambda one: one[0]):
            if ready is None:
                parts.pop(name, None)
            else:
                parts[name] = ready
            versions = Counter(self.pods[pod] for pods in parts.values() for pod in pods)
            state = Behind(revision, at, tuple(sorted(versions.items())))
            if not found or found[-1].versions != state.versions:
                found.append(state)
        return found

    def selected(self, number: int) -> Selected:
        """The selector's ``number``-th change; 0 is the one it was found with."""
        different = [
            one
            for i, one in enumerate(self.selectors)
            if i == 0 or one.selector != self.selectors[i - 1].selector
        ]
        return different[number]

    # --- what the watches record ---

    def record_pod(self, kind: str, item: Json) -> None:
        name = item["metadata"]["name"]
        self.pods[name] = item["spec"]["containers"][0]["image"].rpartition(":")[2]
        if kind == "DELETED" or "deletionTimestamp" in item["metadata"]:
            self.ending.setdefault(name, time.monotonic())

    def record_slice(self, kind: str, item: Json) -> None:
        ready = tuple(
            one["targetRef"]["name"]
            for one in item.get("endpoints") or ()
            if one["conditions"].get("ready")
        )
        found = None if kind == "DELETED" else ready
        name = item["metadata"]["name"]
        self.slices.append((_revision(item), time.monotonic(), name, found))

    def record_service(self, _kind: str, item: Json) -> None:
        selector = dict(item["spec"]["selector"])
        self.selectors.append(Selected(_revision(item), time.monotonic(), selector))

    # --- claims ---

    def was_never_empty(self) -> None:
        empty = [state for state in self.states if not state.versions]
        assert self.states and not empty, f"{self.service} had nobody ready: {self}"

    def only(
        self,
        version: str,
        *,
        since: Selected | None,
        until: Selected | None,
        settled_within_s: float = 1.0,
    ) -> None:
        """From one change of the selector (and a moment for the endpoints to follow) to the next,
        only this version was ready."""
        first = since.at + settled_within_s if since is not None else 0.0
        last = until.revision if until is not None else float("inf")
        states = self.states
        for index, state in enumerate(states):
            ended = states[index + 1].at if index + 1 < len(states) else float("inf")
            if state.revision < last and ended > first:
                others = [other for other, _ in state.versions if other != version]
                assert not others, (
                    f"{others[0]} was ready behind {self.service} where only {version} may be:"
                    f" {self}"
                )

    def drained(self, prefix: str, version: str, *, since: Selected, seconds: float) -> None:
        """Pods that served before a change of the selector ran on for that long, for open
        connections."""
        ended = [
            at
            for name, at in self.ending.items()
            if name.startswith(prefix) and self.pods[name] == version
        ]
        assert ended, f"no pod of {prefix} on {version} ended"
        assert min(ended) - since.at >= seconds, (
            f"a pod of {prefix} on {version} ended {min(ended) - since.at:.1f} s after the change"
        )

    def __str__(self) -> str:
        lines = [(state.revision, state.at, str(state)) for state in self.states]
        lines += [(one.revision, one.at, f"selector {one.selector}") for one in self.selectors]
        began = min((at for _, at, _ in lines), default=0.0)
        return "\n" + "\n".join(
            f"  {revision} +{at - began:.3f} s: {what}" for revision, at, what in sorted(lines)
        )


@contextmanager
def observed(journey: Journey, service: str = "") -> Iterator[Seen]:
    """Enters once the watches show the present state; leaves once they have shown every write
    before."""
    seen = Seen(service or journey.app)
    ended = threading.Event()

    named = {"field_selector": f"metadata.name={seen.service}"}
    watched: tuple[tuple[Callable[[str, Json], None], Callable[..., Any], dict[str, str]], ...] = (
        (seen.record_pod, journey.core.list_namespaced_pod, {}),
        (
            seen.record_slice,
            client.DiscoveryV1Api(journey.api).list_namespaced_endpoint_slice,
            _slices_of(seen.service),
        ),
        (seen.record_service, journey.core.list_namespaced_service, named),
    )
    with ThreadPoolExecutor(len(watched)) as threads:
        following = [
            threads.submit(_follow, note, listing, narrowed, ended)
            for note, listing, narrowed in watched
        ]
        try:
            journey.until(
                lambda: seen.pods and seen.slices and seen.selectors,
                "what is behind the Service now",
            )
            yield seen
            _catch_up(journey, seen)
        finally:
            ended.set()
        for one in following:
            one.result()  # raises if a watch ended early


def _revision(item: Json) -> int:
    return int(item["metadata"]["resourceVersion"])


def _slices_of(service: str) -> dict[str, str]:
    return {"label_selector": f"kubernetes.io/service-name={service}"}


def _catch_up(journey: Journey, seen: Seen) -> None:
    """Wait until the watches have shown the present slices."""
    api = client.DiscoveryV1Api(journey.api)

    def is_shown() -> bool:
        now = _listed(api.list_namespaced_endpoint_slice, _slices_of(seen.service))["items"]
        told = {
            name: revision for revision, _, name, _ in sorted(seen.slices, key=lambda one: one[0])
        }
        return all(told.get(item["metadata"]["name"]) == _revision(item) for item in now)

    journey.until(is_shown, "every state of the EndpointSlices")


def _listed(listing: Callable[..., Any], narrowed: Mapping[str, str]) -> Json:
    """As plain JSON: the client's class rejects a slice without endpoints, which is the very case
    to observe."""
    found: Json = json.loads(listing("default", _preload_content=False, **narrowed).data)
    return found


def _follow(
    note: Callable[[str, Json], None],
    listing: Callable[..., Any],
    narrowed: Mapping[str, str],
    ended: threading.Event,
) -> None:
    """One watch that continues a list without a gap. Each request ends after a second, so that
    ``ended`` is noticed."""
    listed = _listed(listing, narrowed)
    for item in listed["items"]:
        note("ADDED", item)
    since = listed["metadata"]["resourceVersion"]
    while not ended.is_set():
        told = watch.Watch().stream(
            listing,
            "default",
            resource_version=since,
            timeout_seconds=1,
            deserialize=False,
            **narrowed,
        )
        for event in told:
            note(event["type"], event["object"])
            since = event["object"]["metadata"]["resourceVersion"]
