"""Watches: the stream of changes of one resource, through selectors, with bookmarks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import orjson

from sandbox.cluster.api_server import failures
from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.api_server.store import Change, Store
from sandbox.cluster.api_server.tables import TableWriter
from sandbox.cluster.objects import Json, namespace_of

BOOKMARK_EVERY_SECONDS = 10.0
# A bookmark precedes the end of a watch, so that the next watch starts up to date. Source:
# k8s.io/apiserver cacheWatcher.nextBookmarkTime.
LAST_BOOKMARK_BEFORE_END_SECONDS = 2.0


@dataclass(frozen=True)
class WatchRequest:
    resource: Resource
    namespace: str
    matches: Callable[[Json], bool]
    version: str  # "" and "0" begin with the current state
    bookmarks: bool
    initial_events: bool
    timeout_seconds: float
    table: TableWriter | None


class Watches:
    """All running watches; the store reports every change to them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[tuple[str, str], set[_Watch]] = {}
        store.listeners.append(self._deliver)
        self._open = True

    @property
    def count(self) -> int:
        return sum(map(len, self._running.values()))

    def close(self) -> None:
        self._open = False
        self.end_all()

    def end_all(self) -> None:
        """Ends every stream, as an API server does when it restarts."""
        for watches in list(self._running.values()):
            for watch in list(watches):
                watch.end()

    def expire_all(self) -> None:
        """Ends every stream with 410 Gone."""
        for watches in list(self._running.values()):
            for watch in list(watches):
                watch.fail(_too_old(0, self._store.version))

    def _deliver(self, change: Change) -> None:
        for watch in self._running.get(change.resource.key, ()):
            watch.offer(change)

    async def stream(self, request: WatchRequest) -> AsyncIterator[bytes]:
        """Lines of the watch, until its time is over."""
        watch = _Watch(request)
        key = request.resource.key
        self._running.setdefault(key, set()).add(watch)
        try:
            self._begin(request, watch)
            loop = asyncio.get_running_loop()
            deadline = loop.time() + request.timeout_seconds
            reported = self._store.version
            while self._open:
                chunk = watch.take()
                if chunk:
                    yield chunk
                if watch.ended:
                    return
                left = deadline - loop.time()
                if left <= 0:
                    return
                until_last = left - LAST_BOOKMARK_BEFORE_END_SECONDS
                woken = await watch.wait(
                    min(until_last if until_last > 0 else left, BOOKMARK_EVERY_SECONDS)
                )
                if (
                    not woken and request.bookmarks and self._store.version > reported
                ):  # a bookmark without a newer version is useless
                    reported = self._store.version
                    yield self._bookmark(request, {})
        finally:
            self._running[key].discard(watch)

    def _begin(self, request: WatchRequest, watch: _Watch) -> None:
        if request.version in ("", "0") or request.initial_events:
            for obj in self._store.list_all(request.resource, request.namespace):
                if request.matches(obj):
                    watch.push("ADDED", obj)
            if request.initial_events and request.bookmarks:
                watch.push_raw(self._bookmark(request, {"k8s.io/initial-events-end": "true"}))
            return
        version = int(request.version)
        changes = self._store.changes_since(version)
        if changes is None:
            watch.fail(_too_old(version, self._store.oldest_version))
            return
        for change in changes:
            if change.resource.key == request.resource.key:
                watch.offer(change)

    def _bookmark(self, request: WatchRequest, annotations: dict[str, str]) -> bytes:
        metadata: Json = {"resourceVersion": str(self._store.version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        resource = request.resource
        obj: Json = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": metadata,
        }
        if request.table is not None:
            obj = request.table.bookmark(obj)
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"


def _too_old(version: int, oldest: int) -> Json:
    failure = failures.expired(f"too old resource version: {version} ({oldest})")
    return failure.body


class _Watch:
    def __init__(self, request: WatchRequest) -> None:
        self._request = request
        self._lines: deque[bytes] = deque()
        self._news = asyncio.Event()
        self.ended = False

    def offer(self, change: Change) -> None:
        request = self._request
        if request.namespace and namespace_of(change.after) != request.namespace:
            return
        matches_now = change.kind != "DELETED" and request.matches(change.after)
        matched = change.before is not None and request.matches(change.before)
        if matches_now:
            self._push(b"MODIFIED" if matched else b"ADDED", change.after, change.raw)
        elif matched:
            if change.kind == "DELETED" or change.before is None:
                self._push(b"DELETED", change.after, change.raw)
            else:  # it left the selection: send its last selected state and the new version
                last = {**change.before, "metadata": {**change.before["metadata"]}}
                last["metadata"]["resourceVersion"] = str(change.version)
                self._push(b"DELETED", last, orjson.dumps(last))

    def push(self, kind: str, obj: Json) -> None:
        self._push(kind.encode(), obj, None)

    def push_raw(self, line: bytes) -> None:
        self._lines.append(line)
        self._news.set()

    def _push(self, kind: bytes, obj: Json, raw: bytes | None) -> None:
        table = self._request.table
        if table is not None:
            raw = orjson.dumps(table.single(obj))
        elif raw is None:
            raw = orjson.dumps(obj)
        self.push_raw(b'{"type":"' + kind + b'","object":' + raw + b"}\n")

    def fail(self, status: Json) -> None:
        self.push_raw(orjson.dumps({"type": "ERROR", "object": status}) + b"\n")
        self.end()

    def end(self) -> None:
        self.ended = True
        self._news.set()

    def take(self) -> bytes:
        chunk = b"".join(self._lines)
        self._lines.clear()
        self._news.clear()
        return chunk

    async def wait(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True
