"""Watches: every change of the objects that apps are made of, reported as "observe this app", and
who rolled it.

A watcher only nudges: a report is a reason to observe, and the observation reads the truth. So it
may report too much (each relist reports everything again), but never too little: a stream that
breaks is resumed from the version it had reached, one that is too old (410) starts over with a
list. Kubernetes API concepts: "Efficient detection of changes".
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import orjson
import urllib3

from bot.cluster import errors, reading
from bot.cluster.connect import Connection, path_of
from bot.cluster.outside_changes import TOLD_ABOUT, as_item, last_seen_of, outside_change_of
from bot.cluster.urgency import Urgency
from bot.ports import ClusterUnreachable, Refused
from bot.releases.facts.outside_change import LastSeen, OutsideChange

log = logging.getLogger(__name__)

RESOURCES = ("deployments", "replicasets", "pods", "services", "endpointslices")
SERVER_ENDS_AFTER_S = 290
SILENCE_S = 90.0
"""Bookmarks come about every minute, but a server sends none before it has seen a change of that
kind. So a stream that is silent for longer may be dead or its namespace quiet: it is opened anew,
and only a server that then does not answer is in trouble."""
BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 5.0


@dataclass(frozen=True)
class Change:
    """Something of an app changed: observe it. Either ``deployment`` or ``service`` names its
    app. ``seen``: the object's new state, with which its next one is compared. Not
    ``urgent``: it only moves the card."""

    namespace: str
    kind: str  # deployments, replicasets, pods, services, endpointslices
    deployment: str = ""
    service: str = ""
    outside_change: OutsideChange | None = None
    urgent: bool = True
    seen: LastSeen | None = None


Remembered = Mapping[tuple[str, str, str], LastSeen]
"""By namespace, resource and name: what was last told of, before this process."""
OnChange = Callable[[Change], None]
"""Called from the watcher's threads, several at once, and expected to return at once. What it
raises ends the watcher."""


class Watcher:
    """Watches the resources of each namespace from entering to leaving."""

    def __init__(
        self,
        connection: Connection,
        namespaces: Sequence[str],
        on_change: OnChange,
        *,
        silence_s: float = SILENCE_S,
        remembered: Remembered | None = None,
        resources: Sequence[str] = RESOURCES,
    ) -> None:
        self._stop = threading.Event()
        shared = {namespace: (_Owners(), Urgency()) for namespace in namespaces}
        self._streams = [
            _Stream(
                connection,
                namespace,
                resource,
                *shared[namespace],
                on_change,
                self._stop,
                silence_s,
                remembered or {},
            )
            for namespace in shared
            for resource in resources
        ]

    def __enter__(self) -> Self:
        for stream in self._streams:
            stream.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for stream in self._streams:
            stream.interrupt()
        for stream in self._streams:
            stream.thread.join(timeout=5)

    @property
    def is_alive(self) -> bool:
        """Whether every stream is still served; one that ended by a defect must be noticed."""
        return all(stream.thread.is_alive() for stream in self._streams)

    @property
    def is_synced(self) -> bool:
        """Whether every resource has been listed and is being followed."""
        return all(stream.is_following for stream in self._streams)

    def troubles(self) -> tuple[str, ...]:
        """What cannot be watched right now, and why."""
        return tuple(
            f"{one.resource} in {one.namespace}: {one.trouble}"
            for one in self._streams
            if one.trouble
        )


class _Owners:
    """Which ReplicaSet belongs to which Deployment, shared by the streams of one namespace."""

    def __init__(self) -> None:
        self._deployments: dict[
            str, str
        ] = {}  # by the ReplicaSet's uid; a dict's single operations are atomic

    def learn(self, replica_set: Mapping[str, Any]) -> str:
        for reference in replica_set["metadata"].get("ownerReferences") or ():
            if reference.get("controller") and reference["kind"] == "Deployment":
                self._deployments[replica_set["metadata"]["uid"]] = reference["name"]
                return str(reference["name"])
        return ""

    def forget(self, uid: str) -> None:
        self._deployments.pop(uid, None)

    def of_pod(self, pod: Mapping[str, Any]) -> str:
        for reference in pod["metadata"].get("ownerReferences") or ():
            if reference.get("controller") and reference["kind"] == "ReplicaSet":
                known = self._deployments.get(reference["uid"])
                if known is not None:
                    return known
                # The pod's event came before its ReplicaSet's, which is called <deployment>-<hash>.
                suffix = "-" + (
                    (pod["metadata"].get("labels") or {}).get(reading.HASH_LABEL) or "?"
                )
                name = str(reference["name"])
                return name.removesuffix(suffix) if name.endswith(suffix) else ""
        return ""


class _Stream:
    def __init__(
        self,
        connection: Connection,
        namespace: str,
        resource: str,
        owners: _Owners,
        urgency: Urgency,
        on_change: OnChange,
        stop: threading.Event,
        silence_s: float,
        remembered: Remembered,
    ) -> None:
        self._silence_s = silence_s
        self.namespace, self.resource = namespace, resource
        self.trouble = ""
        self.is_following = False
        self.thread = threading.Thread(
            target=self._run, name=f"watch-{namespace}-{resource}", daemon=True
        )
        self._connection, self._owners, self._on_change, self._stop = (
            connection,
            owners,
            on_change,
            stop,
        )
        self._urgency = urgency
        self._path = path_of(resource, namespace)
        self._version = ""
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._known: dict[str, Any] = {}  # Deployments or Services by name, as last seen
        self._reported: dict[str, LastSeen] = {}
        self._remembered = {
            name: seen
            for (where, what, name), seen in remembered.items()
            if (where, what) == (namespace, resource)
        }
        self._listed_before = False
        self._of: dict[
            str, tuple[str, str]
        ] = {}  # each object's Deployment, by uid: reported when a list lacks it

    def interrupt(self) -> None:
        """Wakes the thread out of its read; the socket is shut for reading, and closed by the
        thread itself."""
        answer = self._answer
        if answer is not None:
            try:
                answer.shutdown()
            except (ValueError, RuntimeError, OSError):
                return  # it was ending anyway

    def _run(self) -> None:
        backoff = BACKOFF_S
        while not self._stop.is_set():
            try:
                if not self._version:
                    self._list()
                progressed = self._follow()
                self.trouble = ""
            except errors.NotThere as gone:
                progressed = False
                if not self._version:
                    self._record_trouble(str(gone))
                self._version = ""  # 410: list again
            except ClusterUnreachable as away:
                progressed = False
                self._record_trouble(str(away))
            except Refused as refused:
                progressed, self._version = False, ""
                self._record_trouble(str(refused))
            self.is_following = False
            if progressed:
                backoff = BACKOFF_S
            else:
                self._stop.wait(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF_S)

    def _record_trouble(self, trouble: str) -> None:
        if self.trouble != trouble and not self._stop.is_set():
            log.warning("cannot watch %s in %s: %s", self.resource, self.namespace, trouble)
        self.trouble = trouble

    def _list(self) -> None:
        answer = self._connection.get(self._path)
        items = answer.get("items") or []
        affected: set[tuple[str, str]] = set()
        present = {item["metadata"]["uid"] for item in items}
        for uid, whose in list(self._of.items()):
            if uid not in present:
                affected.add(whose)
                del self._of[uid]
        if self.resource in TOLD_ABOUT:
            self._compare_lists(items)
        for item in items:
            affected.add(self._whose(item))
            self._is_urgent(item, deleted=False)
        for whose in affected:
            self._report(whose)
        self._version = answer["metadata"]["resourceVersion"]
        self._listed_before = True

    def _compare_lists(self, items: Sequence[Any]) -> None:
        """The first list is compared with what was last told of, before this process."""
        names = {item["metadata"]["name"] for item in items}
        if not self._listed_before:
            for name, last in self._remembered.items():
                known = as_item(name, last)
                if known is not None:
                    self._known[name] = known
        for item in items:
            past, seen = self._compare(item, deleted=False)
            if past is not None or seen is not None:
                self._report(self._named(item["metadata"]["name"]), past, seen=seen)
        for name in [name for name in self._known if name not in names]:
            past, seen = self._compare(self._known[name], deleted=True)
            self._report(self._named(name), past, seen=seen)

    def _named(self, name: str) -> tuple[str, str]:
        return (name, "") if self.resource == "deployments" else ("", name)

    def _follow(self) -> bool:
        """Until the server ends the stream, or is silent. Whether that is progress: a server that
        hangs up at once is none."""
        query = {
            "watch": "1", "allowWatchBookmarks": "true", "resourceVersion": self._version,
            "timeoutSeconds": str(SERVER_ENDS_AFTER_S),
        }  # fmt: skip
        answer = self._connection.stream(self._path, query, silence_s=self._silence_s)
        self._answer, self.is_following, self.trouble = answer, True, ""
        came = False
        rest = b""
        if (
            self._stop.is_set()
        ):  # after _answer was set: interrupt() either saw it or set _stop before
            answer.close()
            return False
        try:
            for chunk in answer.stream(decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip() and not self._stop.is_set():
                        self._event(orjson.loads(line))
                        came = True
        except urllib3.exceptions.ReadTimeoutError:
            return True
        except urllib3.exceptions.HTTPError as error:
            if not came:
                raise errors.unreachable(error, self._connection.server, self._silence_s) from error
        finally:
            self._answer = None
            answer.close()
        return came

    def _event(self, event: Mapping[str, Any]) -> None:
        item = event["object"]
        match event["type"]:
            case "BOOKMARK":
                pass
            case "ERROR":
                if item.get("code") == 410:
                    raise errors.NotThere(item.get("message", ""))
                raise ClusterUnreachable(
                    f"the watch ended: {errors.one_line(str(item.get('message', '')))}"
                )
            case kind:
                deleted = kind == "DELETED"
                past, seen = (
                    self._compare(item, deleted=deleted)
                    if self.resource in TOLD_ABOUT
                    else (None, None)
                )
                whose = self._whose(item)
                urgent = self._is_urgent(item, deleted=deleted) or past is not None
                if deleted:
                    self._of.pop(item["metadata"]["uid"], None)
                    if self.resource == "replicasets":
                        self._owners.forget(item["metadata"]["uid"])
                self._report(whose, past, urgent=urgent, seen=seen)
        self._version = item["metadata"]["resourceVersion"]

    def _whose(self, item: Mapping[str, Any]) -> tuple[str, str]:
        """(Deployment, Service) that the object belongs to; ("", "") for neither."""
        meta = item["metadata"]
        whose = ("", "")
        match self.resource:
            case "deployments":
                whose = (meta["name"], "")
            case "replicasets":
                whose = (self._owners.learn(item), "")
            case "pods":
                whose = (self._owners.of_pod(item), "")
            case "services":
                whose = ("", meta["name"])
            case _:
                whose = ("", (meta.get("labels") or {}).get(reading.SERVICE_NAME, ""))
        if any(whose):
            self._of[meta["uid"]] = whose
        return whose

    def _is_urgent(self, item: Mapping[str, Any], *, deleted: bool) -> bool:
        deployment, _ = self._of.get(item["metadata"]["uid"], ("", ""))
        return self._urgency.is_urgent(self.resource, item, deployment=deployment, deleted=deleted)

    def _report(
        self,
        whose: tuple[str, str],
        past: OutsideChange | None = None,
        *,
        urgent: bool = True,
        seen: LastSeen | None = None,
    ) -> None:
        if any(whose):
            self._on_change(Change(self.namespace, self.resource, *whose, past, urgent, seen))

    def _compare(self, item: Any, *, deleted: bool) -> tuple[OutsideChange | None, LastSeen | None]:
        """What others changed since the last known state, and the new state where it is one."""
        name = item["metadata"]["name"]
        before = self._known.pop(name, None)
        first = not self._listed_before
        seen = last_seen_of(self.resource, item, deleted=deleted)
        if first:
            seen = replace(seen, listed=True)
        if not deleted:
            self._known[name] = {"metadata": item["metadata"], "spec": item["spec"]}
        if self._reported.get(name) == seen:
            return None, None
        self._reported[name] = seen
        if before is None and (deleted or (first and name not in self._remembered)):
            return None, seen  # nobody knows the state before
        after = None if deleted else item
        return outside_change_of(before, after, self.resource, missed=first), seen
