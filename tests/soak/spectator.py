"""Records every change of the apps' Deployments and EndpointSlices, as an administrator and not
through the bot."""

from __future__ import annotations

import json
import ssl
import threading
import time
from types import TracebackType
from typing import Any

import httpx
import yaml

from sandbox.control_plane import ControlPlane

Json = dict[str, Any]
VERBS = {"ADDED": "create", "MODIFIED": "update", "DELETED": "delete"}
PATHS = {
    "deployments.apps": "/apis/apps/v1/namespaces/default/deployments",
    "endpointslices.discovery.k8s.io": (
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    ),
}


class Spectator:
    """A watch for each kind, from before the first release. ``gaps`` says where changes may have
    been missed."""

    def __init__(self, cluster: ControlPlane) -> None:
        config = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
        authority = config["clusters"][0]["cluster"]["certificate-authority"]
        self.api = httpx.Client(
            base_url=cluster.url,
            verify=ssl.create_default_context(cafile=authority),
            headers={
                "Authorization": f"Bearer {config['users'][0]['user']['token']}",
                "User-Agent": "spectator",
            },
            timeout=httpx.Timeout(10, read=None),
            trust_env=False,
        )
        self.gaps: list[str] = []
        self._writes: list[Json] = []
        self._ended = threading.Event()
        self._versions = dict.fromkeys(PATHS, "")
        self._streams: dict[str, httpx.Response] = {}
        self._threads = [
            threading.Thread(target=self._watch, args=(kind,), name=f"watch of {kind}")
            for kind in PATHS
        ]

    def __enter__(self) -> Spectator:
        for kind, path in PATHS.items():
            found = self.api.get(path).raise_for_status().json()
            for item in found["items"]:
                self._note(kind, "create", item)
            self._versions[kind] = found["metadata"]["resourceVersion"]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.api.close()
        for thread in self._threads:
            thread.join(10)

    def objects(self, path: str) -> list[Json]:
        found: list[Json] = self.api.get(path).raise_for_status().json()["items"]
        return found

    def history(self) -> list[Json]:
        """Every change so far, in the cluster's order."""
        return sorted(self._writes, key=lambda write: int(write["number"]))

    def _watch(self, kind: str) -> None:
        while not self._ended.is_set():
            query = {
                "watch": "1",
                "resourceVersion": self._versions[kind],
                "allowWatchBookmarks": "true",
                "timeoutSeconds": "20",
            }
            try:
                with self.api.stream("GET", PATHS[kind], params=query) as stream:
                    for line in stream.iter_lines():
                        self._see(kind, json.loads(line))
            except (httpx.HTTPError, httpx.StreamError) as failure:
                if not self._ended.wait(0.1):
                    self.gaps.append(f"the watch of {kind} broke: {failure!r}")
            except RuntimeError:  # the client was closed between two watches
                return

    def _see(self, kind: str, event: Json) -> None:
        if event["type"] == "ERROR":
            self.gaps.append(
                f"the watch of {kind} from {self._versions[kind]}: {event['object'].get('message')}"
            )
            self._versions[kind] = (
                self.api.get(PATHS[kind]).raise_for_status().json()["metadata"]["resourceVersion"]
            )
            return
        self._versions[kind] = event["object"]["metadata"]["resourceVersion"]
        if event["type"] in VERBS:
            self._note(kind, VERBS[event["type"]], event["object"])

    def _note(self, kind: str, verb: str, item: Json) -> None:
        meta = item["metadata"]
        kept = {
            "metadata": {
                "name": meta["name"],
                "labels": meta.get("labels"),
                "annotations": meta.get("annotations"),
            }
        }
        kept |= {part: item[part] for part in ("spec", "status", "endpoints") if part in item}
        self._writes.append(
            {
                "number": meta["resourceVersion"],
                "time": time.time(),
                "verb": verb,
                "resource": kind,
                "name": meta["name"],
                "object": kept,
            }
        )
