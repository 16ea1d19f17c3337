"""One cluster, wired together; everything in it runs on one event loop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sandbox.cluster import seeds
from sandbox.cluster.administration import administration
from sandbox.cluster.api_server.access import Access
from sandbox.cluster.api_server.callers import SEEDER, WriteOptions
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.faults import Faults
from sandbox.cluster.api_server.history import History
from sandbox.cluster.api_server.listener import Listener
from sandbox.cluster.api_server.registry import Registry
from sandbox.cluster.api_server.resources import (
    DEFINITIONS,
    NAMESPACES,
    NODES,
    SERVICE_ACCOUNTS,
    ResourceTable,
)
from sandbox.cluster.api_server.schemas import KUBERNETES_VERSION
from sandbox.cluster.api_server.server import ApiServer
from sandbox.cluster.api_server.store import Store
from sandbox.cluster.api_server.watching import Watches
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.controllers.images import ImageBehaviour, ImageRules
from sandbox.cluster.controllers.kubelet import Timings
from sandbox.cluster.controllers.running import Controllers
from sandbox.cluster.controllers.work_queue import WorkQueue
from sandbox.cluster.network.certificates import self_signed_context
from sandbox.cluster.network.counters import visit
from sandbox.cluster.network.load_balancers import LoadBalancers
from sandbox.cluster.network.routing import Routing
from sandbox.cluster.network.subresources import Subresources
from sandbox.cluster.objects import Json

DEFAULT_ALLOCATABLE: Mapping[str, str] = {"cpu": "32", "memory": "256Gi", "pods": "500"}


@dataclass(frozen=True)
class ClusterSettings:
    """Times in seconds; `images` maps image patterns to behaviours, `known_images` lists the images
    that exist."""

    ready_after: float = 0.3
    jitter: float = 0.0
    stop_after: float = 0.1
    back_off: float = 10.0
    images: Mapping[str, ImageBehaviour] = field(default_factory=dict)
    known_images: tuple[str, ...] | None = None
    nodes: int = 3
    allocatable: Mapping[str, str] = field(default_factory=lambda: DEFAULT_ALLOCATABLE)
    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    controller_delay: float = 0.0
    watch_log: int = 20_000
    random_seed: int | None = None
    traffic: float = 0.0  # requests a second to each Service, by visitors within the cluster
    kubernetes: tuple[int, int, int] = KUBERNETES_VERSION  # what /version says, and nothing else


class Cluster:
    """Created and used on a running event loop."""

    def __init__(self, settings: ClusterSettings) -> None:
        loop = asyncio.get_running_loop()
        chance = random.Random(settings.random_seed)
        self.settings = settings
        self.store = Store(settings.watch_log)
        self.table = ResourceTable()
        self.history = History(time.time)
        self.registry = Registry(self.store, self.table, self.history, time.time)
        self.queue = WorkQueue(loop, settings.controller_delay)
        self.view = ClusterView(self.registry, self.store, self.queue, time.time, chance)
        self.images = ImageRules(
            known=None if settings.known_images is None else list(settings.known_images)
        )
        for pattern, behaviour in settings.images.items():
            self.images.add(pattern, behaviour)
        self.timings = Timings(
            settings.ready_after, settings.jitter, settings.stop_after, settings.back_off
        )
        self.controllers = Controllers(self.view, self.images, self.timings)
        self.routing = Routing(self.store, self.images, chance)
        self.load_balancers = LoadBalancers(self.view, self.routing)
        self.access = Access(self.store)
        self.faults = Faults(chance)
        self.watches = Watches(self.store)
        self.server = ApiServer(
            self.registry,
            self.table,
            self.store,
            self.access,
            self.faults,
            self.watches,
            administration(self),
            kubernetes=settings.kubernetes,
        )
        self._visitors: asyncio.Task[None] | None = None
        self._serve_subresources()
        context = self_signed_context() if settings.tls else None
        self.listener = Listener(self.server, settings.host, settings.port, context)

    def _serve_subresources(self) -> None:
        special = Subresources(
            self.registry,
            self.controllers.kubelet,
            self.controllers.budgets,
            self.routing,
            self.access,
        )
        self.server.specials.update(
            log=special.log,
            eviction=special.eviction,
            proxy=special.proxy,
            token=special.token,
            binding=special.binding,
        )

    @property
    def url(self) -> str:
        scheme = "https" if self.settings.tls else "http"
        return f"{scheme}://{self.settings.host}:{self.listener.port}"

    async def start(self) -> None:
        self.seed([seeds.namespace(name) for name in seeds.NAMESPACES])
        self.seed([seeds.service_account(name) for name in seeds.NAMESPACES])
        for number in range(1, self.settings.nodes + 1):
            node = seeds.node(number, self.settings.allocatable, time.time())
            self.registry.create(NODES, "", node, SEEDER, WriteOptions(validation="Ignore"))
        self.registry.create(
            DEFINITIONS, "", seeds.sample_definition(), SEEDER, WriteOptions(validation="Ignore")
        )
        await self.listener.open()
        if self.settings.traffic:
            self._visitors = asyncio.create_task(visit(self.routing, self.settings.traffic))

    def seed(self, manifests: Iterable[Json]) -> None:
        """Creates objects or replaces existing ones; creates missing namespaces."""
        for manifest in manifests:
            resource = self.table.of_object(manifest)
            if resource is None:
                raise ApiFailure(
                    404,
                    "NotFound",
                    f"no resource {manifest.get('apiVersion')} {manifest.get('kind')}",
                )
            metadata = manifest.get("metadata") or {}
            namespace = metadata.get("namespace", "default") if resource.namespaced else ""
            if namespace and self.store.get(NAMESPACES, "", namespace) is None:
                self.seed([seeds.namespace(namespace), seeds.service_account(namespace)])
            present = self.store.get(resource, namespace, metadata.get("name", ""))
            if present is None:
                self.registry.create(resource, namespace, manifest, SEEDER, WriteOptions())
            elif resource.key not in (NAMESPACES.key, SERVICE_ACCOUNTS.key):
                self.registry.update(
                    resource, namespace, metadata["name"], manifest, SEEDER, WriteOptions()
                )

    async def stop(self) -> None:
        if self._visitors is not None:
            self._visitors.cancel()
        self.queue.close()
        self.watches.close()
        await self.load_balancers.close()
        await self.listener.close()
