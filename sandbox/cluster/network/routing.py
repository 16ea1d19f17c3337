"""kube-proxy: from a Service and a client to a pod and its application's reply."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from sandbox.cluster.api_server.resources import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    PODS,
    SECRETS,
    SERVICES,
)
from sandbox.cluster.api_server.store import Store
from sandbox.cluster.controllers.endpoint_slices import SERVICE_NAME
from sandbox.cluster.controllers.images import ImageRules
from sandbox.cluster.network.counters import CONTENT_TYPE, METRICS_PATH, Counters
from sandbox.cluster.network.demo_apps import Forward, Reply, answer, serves_tls
from sandbox.cluster.objects import Json, labels_of, name_of, uid_of

_MOST_HOPS = 4
UNVISITED = "sandbox.pilothouse.dev/unvisited"


class Routing:
    """Chooses endpoints at random; remembers clients of Services with session affinity."""

    def __init__(self, store: Store, images: ImageRules, chance: random.Random) -> None:
        self._store = store
        self._images = images
        self._chance = chance
        self._affinity: dict[tuple[str, str], tuple[str, float]] = {}
        self.counters = Counters()

    def service(self, namespace: str, name: str) -> Json | None:
        return self._store.get(SERVICES, namespace, name)

    def services(self) -> list[Json]:
        """Those that visitors ask."""
        return [
            one
            for one in self._store.list_all(SERVICES)
            if one["spec"].get("selector")
            and UNVISITED not in one["metadata"].get("annotations", {})
        ]

    def ready_pods(self, service: Json) -> list[Json]:
        """Pods of the ready endpoints; when none is ready, terminating pods that still serve."""
        ready, serving = [], []
        for _, conditions, pod in self._endpoints(service):
            if conditions.get("ready", True):
                ready.append(pod)
            elif conditions.get("serving") and conditions.get("terminating"):
                serving.append(pod)
        return ready or serving

    def any_pod(self, service: Json, port_name: str) -> Json | None:
        """Any ready pod with that port, as the API server's proxy chooses it: without session
        affinity (core/service: ResourceLocation)."""
        pods = [
            pod
            for ports, conditions, pod in self._endpoints(service)
            if conditions.get("ready", True) and port_name in ports
        ]
        return self._chance.choice(pods) if pods else None

    def has_endpoints(self, service: Json) -> bool:
        """Whether any pod is behind the Service, ready or not."""
        return any(True for _ in self._endpoints(service))

    def _endpoints(self, service: Json) -> Iterator[tuple[set[str], Json, Json]]:
        """For each endpoint: the names of its ports ("" for an unnamed one), its conditions, its
        pod."""
        namespace = service["metadata"]["namespace"]
        for item in self._store.iterate(ENDPOINT_SLICES, namespace):
            if labels_of(item).get(SERVICE_NAME) != name_of(service):
                continue
            ports = {port.get("name", "") for port in item.get("ports") or ()}
            for found in item.get("endpoints") or ():
                name = (found.get("targetRef") or {}).get("name", "")
                pod = self._store.get(PODS, namespace, name)
                if pod is not None:
                    yield ports, found.get("conditions") or {}, pod

    def choose(self, service: Json, client: str) -> Json | None:
        """The pod for a new connection of a client, as kube-proxy chooses it."""
        pods = self.ready_pods(service)
        if not pods:
            return None
        if service["spec"].get("sessionAffinity") != "ClientIP":
            return self._chance.choice(pods)
        configured = (service["spec"].get("sessionAffinityConfig") or {}).get("clientIP") or {}
        key = (uid_of(service), client)
        known = self._affinity.get(key)
        now = time.monotonic()
        if known is not None and now < known[1]:
            for pod in pods:
                if uid_of(pod) == known[0]:
                    self._affinity[key] = (known[0], now + configured.get("timeoutSeconds", 10800))
                    return pod
        pod = self._chance.choice(pods)
        self._affinity[key] = (uid_of(pod), now + configured.get("timeoutSeconds", 10800))
        return pod

    def ask(self, pod: Json, path: str, client: str, hops: int = 0) -> Reply:
        """The pod's reply; a reverse proxy forwards to its Service."""
        if path.partition("?")[0] == METRICS_PATH:
            text = self.counters.text_of(uid_of(pod))
            return Reply(200, text.encode(), CONTENT_TYPE)
        reply = self._replied(pod, path, client, hops)
        self.counters.count(uid_of(pod), reply.status, self.answers_after(pod))
        return reply

    def _replied(self, pod: Json, path: str, client: str, hops: int) -> Reply:
        behaviour = self._images.of(pod["spec"]["containers"][0]["image"])
        if behaviour.kind == "sick" or self._chance.random() < behaviour.errors:
            return Reply(503, b"503 service unavailable\n", "text/plain")
        found = answer(pod, path, self.configuration_of(pod), behaviour.version)
        if isinstance(found, Reply):
            return found
        return self._forwarded(found, client, hops)

    def answers_after(self, pod: Json, path: str = "/") -> float:
        """Seconds until the pod answers; at once where it is scraped."""
        if path == METRICS_PATH:
            return 0.0
        return self._images.of(pod["spec"]["containers"][0]["image"]).answers_after

    def _forwarded(self, forward: Forward, client: str, hops: int) -> Reply:
        service = self.service(forward.namespace, forward.service)
        pod = self.choose(service, client) if service is not None else None
        if pod is None or hops >= _MOST_HOPS:
            return Reply(502, b"<h1>502 Bad Gateway</h1>\n", "text/html")
        return self.ask(pod, forward.path, client, hops + 1)

    def configuration_of(self, pod: Json) -> str:
        """The nginx configuration that a ConfigMap mounts into the pod."""
        if "nginx" not in pod["spec"]["containers"][0]["image"]:
            return ""
        for volume in pod["spec"].get("volumes") or ():
            name = (volume.get("configMap") or {}).get("name")
            found = (
                self._store.get(CONFIG_MAPS, pod["metadata"]["namespace"], name) if name else None
            )
            for text in ((found or {}).get("data") or {}).values():
                if "server" in text and "location" in text:
                    return str(text)
        return ""

    def speaks_tls(self, service: Json, port: Json, pod: Json | None) -> bool:
        """Whether connections to this Service port carry TLS, by the pod's configuration or else by
        the port."""
        if pod is None:
            return port["port"] in (443, 8443) or port.get("name") == "https"
        target = port.get("targetPort", port["port"])
        if not isinstance(target, int):
            target = port["port"]
        return serves_tls(self.configuration_of(pod), target)

    def certificate_of(self, service: Json) -> tuple[str, str] | None:
        """(certificate, key) in base64 of PEM from a Secret that a pod behind the Service
        mounts."""
        for pod in self.ready_pods(service)[:1]:
            for volume in pod["spec"].get("volumes") or ():
                name = (volume.get("secret") or {}).get("secretName")
                secret = (
                    self._store.get(SECRETS, pod["metadata"]["namespace"], name) if name else None
                )
                data = (secret or {}).get("data") or {}
                for certificate, key in (("cert.pem", "key.pem"), ("tls.crt", "tls.key")):
                    if certificate in data and key in data:
                        return data[certificate], data[key]
        return None
