"""The simulated cluster in a thread of its own, as a context manager."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml

from sandbox.cluster.api_server.access import ADMIN_TOKEN, Denial
from sandbox.cluster.api_server.faults import parse_fault
from sandbox.cluster.api_server.history import Write
from sandbox.cluster.api_server.resources import SERVICES
from sandbox.cluster.controllers.images import ImageBehaviour, parse_behaviour
from sandbox.cluster.core import Cluster, ClusterSettings
from sandbox.cluster.network.load_balancers import URL
from sandbox.cluster.objects import Json

Result = TypeVar("Result")


def kubeconfig_text(url: str, token: str = ADMIN_TOKEN, namespace: str = "default") -> str:
    """A kubeconfig with one context, `sandbox`."""
    cluster: Json = {"server": url}
    if url.startswith("https:"):
        cluster["insecure-skip-tls-verify"] = True
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": cluster}],
            "users": [{"name": "sandbox", "user": {"token": token}}],
            "contexts": [
                {
                    "name": "sandbox",
                    "context": {"cluster": "sandbox", "user": "sandbox", "namespace": namespace},
                }
            ],
            "current-context": "sandbox",
        },
        sort_keys=False,
    )


class SimulatedCluster:
    """Starts on entry, ends on exit. Its methods may be called from any thread but its own."""

    def __init__(
        self, *, images: Mapping[str, ImageBehaviour | str | Json] | None = None, **settings: Any
    ) -> None:
        behaviours = {
            pattern: item if isinstance(item, ImageBehaviour) else parse_behaviour(item)
            for pattern, item in (images or {}).items()
        }
        self._settings = ClusterSettings(images=behaviours, **settings)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cluster: Cluster | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._finish: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="simulated-cluster", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._finish is not None:
            self._loop.call_soon_threadsafe(self._finish.set)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            self._started.set()
            raise

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._finish = asyncio.Event()
        self._cluster = Cluster(self._settings)
        await self._cluster.start()
        self._started.set()
        await self._finish.wait()
        await self._cluster.stop()

    @property
    def core(self) -> Cluster:
        """The cluster itself; use it only within `run`."""
        if self._cluster is None:
            raise RuntimeError(
                "the simulated cluster has not been started: use it as a context manager"
            )
        return self._cluster

    def run(self, work: Callable[[Cluster], Result]) -> Result:
        """Runs a function on the cluster's own loop and returns its result."""
        assert self._loop is not None

        async def on_loop() -> Result:
            return work(self.core)

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result()

    @property
    def url(self) -> str:
        return self.core.url

    def kubeconfig(
        self, path: Path | str, token: str = ADMIN_TOKEN, namespace: str = "default"
    ) -> Path:
        """Writes a kubeconfig and returns its path."""
        target = Path(path)
        target.write_text(kubeconfig_text(self.url, token, namespace), encoding="utf-8")
        target.chmod(0o600)
        return target

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token with the rights that Roles and bindings grant the service account."""
        return self.run(lambda cluster: cluster.access.add_service_account(namespace, name))

    def seed(self, manifests: Iterable[Json] | Json) -> None:
        """Creates or replaces objects."""
        items = [manifests] if isinstance(manifests, dict) else list(manifests)
        self.run(lambda cluster: cluster.seed(items))

    def plan_fault(self, kind: str, **details: Any) -> None:
        """Plans a fault (faults.Fault): slow, error, throttle, conflict, invalid, reset_before,
        reset_after, watch_gone."""
        fault = parse_fault({"kind": kind, **details})
        self.run(lambda cluster: cluster.faults.plan(fault))

    def clear_faults(self) -> None:
        self.run(lambda cluster: cluster.faults.clear())

    def deny(
        self, verb: str = "", group: str = "*", resource: str = "", namespace: str = ""
    ) -> None:
        self.run(
            lambda cluster: cluster.access.denials.append(Denial(verb, group, resource, namespace))
        )

    def unreachable(self, seconds: float) -> None:
        """Refuses connections for a time."""
        self.run(lambda cluster: cluster.listener.go_away(seconds))

    def expire_watches(self) -> None:
        """Sends 410 to every watch that runs or that starts from an older version."""

        def expire(cluster: Cluster) -> None:
            cluster.store.compact()
            cluster.watches.expire_all()

        self.run(expire)

    def set_image(self, pattern: str, behaviour: ImageBehaviour | str | Json) -> None:
        """Sets the behaviour of images that match the pattern, in running pods as well."""
        parsed = behaviour if isinstance(behaviour, ImageBehaviour) else parse_behaviour(behaviour)

        def change(cluster: Cluster) -> None:
            cluster.images.remove(pattern)
            cluster.images.add(pattern, parsed)
            cluster.controllers.kubelet.behaviours_changed()

        self.run(change)

    def history(self, since: int = 0) -> list[Write]:
        """The writes that took effect, oldest first."""
        return self.run(lambda cluster: cluster.history.since(since))

    def service_url(self, namespace: str, name: str) -> str | None:
        """The URL of a Service of type LoadBalancer, reachable from here; None while it is
        pending."""

        def find(cluster: Cluster) -> str | None:
            service = cluster.store.get(SERVICES, namespace, name)
            return ((service or {}).get("metadata", {}).get("annotations") or {}).get(URL)

        return self.run(find)
