"""External addresses: each Service of type LoadBalancer listens on loopback.

A Service gets an address 127.x.y.z of its own with its own ports where the system lets us bind
them; elsewhere (no rights to low ports, no further loopback addresses) it gets 127.0.0.1 and ports
chosen by the system. The annotation `sandbox.pilothouse.dev/url` always holds a URL that works.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import weakref
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sandbox.cluster.api_server.callers import Caller
from sandbox.cluster.api_server.listener import Listener
from sandbox.cluster.api_server.resources import SERVICES
from sandbox.cluster.api_server.store import Change
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.network.certificates import context_of_secret, self_signed_context
from sandbox.cluster.network.routing import Routing
from sandbox.cluster.objects import Json, copy_json, name_of, namespace_of, uid_of

URL = "sandbox.pilothouse.dev/url"
_CLOUD = Caller(
    "system:cloud-controller-manager", ("system:masters",), "cloud-controller-manager/v1.36.3"
)


class LoadBalancers:
    """Keeps one set of listeners for each Service of type LoadBalancer; key: (namespace, name)."""

    def __init__(self, view: ClusterView, routing: Routing) -> None:
        self._view = view
        self._routing = routing
        self._listeners: dict[str, list[Listener]] = {}
        self._ports: dict[str, list[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[tuple[str, str]] = set()
        view.queue.handle("load-balancer", self._start)
        view.store.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change.resource.key != SERVICES.key:
            return
        is_balanced = change.after["spec"].get("type") == "LoadBalancer"
        if is_balanced or uid_of(change.after) in self._listeners:
            self._view.queue.add(
                "load-balancer", (namespace_of(change.after), name_of(change.after))
            )
        if change.kind == "DELETED":
            self._spawn(self._stop(uid_of(change.after)))

    def _start(self, key: tuple[str, str]) -> None:
        if key in self._busy:
            self._view.queue.add_after("load-balancer", key, 0.02)
            return
        self._busy.add(key)
        self._spawn(self._reconcile(key))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reconcile(self, key: tuple[str, str]) -> None:
        try:
            service = self._view.store.get(SERVICES, *key)
            if service is None:
                return
            uid = uid_of(service)
            if service["spec"].get("type") != "LoadBalancer":
                await self._stop(uid)
                return
            wanted = [port["port"] for port in service["spec"].get("ports") or ()]
            if self._ports.get(uid) == wanted:
                return
            await self._stop(uid)
            self._ports[uid] = wanted
            address, listeners = await self._listen(service)
            self._listeners[uid] = listeners
            self._publish(key, address, listeners)
        finally:
            self._busy.discard(key)

    async def _listen(self, service: Json) -> tuple[str, list[Listener]]:
        ports = service["spec"].get("ports") or ()
        for _ in range(3):
            address = (
                f"127.{random.randint(64, 126)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
            )
            try:
                return address, await self._open(service, address, [port["port"] for port in ports])
            except OSError:
                continue
        return "127.0.0.1", await self._open(service, "127.0.0.1", [0 for _ in ports])

    async def _open(self, service: Json, address: str, numbers: list[int]) -> list[Listener]:
        opened: list[Listener] = []
        try:
            for port, number in zip(service["spec"].get("ports") or (), numbers, strict=True):
                pods = self._routing.ready_pods(service)
                with_tls = self._routing.speaks_tls(service, port, pods[0] if pods else None)
                context = self._context(service) if with_tls else None
                key = (namespace_of(service), name_of(service))
                listener = Listener(_Front(self._routing, key), address, number, context)
                await listener.open()
                opened.append(listener)
        except OSError:
            for listener in opened:
                await listener.close()
            raise
        return opened

    def _context(self, service: Json) -> ssl.SSLContext:
        """Looks the certificate up at each handshake, because the Secret may appear or change
        later."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fallback = self_signed_context()
        key = (namespace_of(service), name_of(service))

        def choose(connection: ssl.SSLObject, server_name: str | None, _: ssl.SSLContext) -> None:
            del server_name
            present = self._routing.service(*key)
            pair = self._routing.certificate_of(present) if present is not None else None
            connection.context = (context_of_secret(*pair) if pair else None) or fallback

        context.sni_callback = choose
        return context

    def _publish(self, key: tuple[str, str], address: str, listeners: list[Listener]) -> None:
        service = self._view.store.get(SERVICES, *key)
        if service is None or not listeners:
            return
        published: Json = copy_json(service)
        first = service["spec"]["ports"][0]
        pods = self._routing.ready_pods(service)
        scheme = (
            "https"
            if self._routing.speaks_tls(service, first, pods[0] if pods else None)
            else "http"
        )
        standard = {"http": 80, "https": 443}[scheme]
        number = listeners[0].port
        url = f"{scheme}://{address}" + ("" if number == standard else f":{number}")
        published["metadata"].setdefault("annotations", {})[URL] = url
        published["status"] = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
        self._view.registry.write_directly(SERVICES, published, _CLOUD, "patch")
        self._view.record(
            service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer", "service-controller"
        )

    async def _stop(self, uid: str) -> None:
        self._ports.pop(uid, None)
        for listener in self._listeners.pop(uid, []):
            await listener.close()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        for uid in list(self._listeners):
            await self._stop(uid)


class _Front:
    """The application behind one external port: each connection keeps its endpoint."""

    def __init__(self, routing: Routing, key: tuple[str, str]) -> None:
        self._routing = routing
        self._key = key
        self._chosen: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        del receive
        if scope["type"] != "http":
            return
        transport = scope["state"]["transport"]
        service = self._routing.service(*self._key)
        client = (scope.get("client") or ("127.0.0.1", 0))[0]
        pod = self._pod(service, transport, client) if service is not None else None
        if pod is None:
            transport.abort()  # no pod is behind the Service: kube-proxy rejects the connection
            return
        await asyncio.sleep(self._routing.answers_after(pod))
        reply = self._routing.ask(pod, scope["path"], client)
        headers = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    def _pod(self, service: Json, transport: Any, client: str) -> Json | None:
        known = self._chosen.get(transport)
        if known is not None:
            for pod in self._routing.ready_pods(service):
                if uid_of(pod) == known:
                    return pod
        chosen = self._routing.choose(service, client)
        if chosen is not None:
            self._chosen[transport] = uid_of(chosen)
        return chosen
