"""The admin path of the simulated cluster, /_sandbox/: faults, image behaviours, timings, history.
JSON in and out.

| method and path | what |
|---|---|
| GET state | url, resource version, request counts (also by user agent), watches, timings, load balancers |
| GET, POST, DELETE faults | planned faults; a body is one fault or a list of them (see faults.Fault) |
| POST unreachable | {"seconds": n}: connections are refused for n seconds |
| POST connections/cut, watches/end, watches/expire, watches/compact | resets; ends streams; 410 now; 410 at the next start |
| GET, PUT, DELETE images | {"pattern": "repo:tag*", "behaviour": "crash" or {"kind": …}}; DELETE ?pattern= |
| PUT timings | ready_after, jitter, stop_after, back_off, crash_after in seconds |
| GET, DELETE history | the log of writes; ?since=number, ?resource=deployments.apps, ?verb= |
| POST, DELETE denials | {"verb", "group", "resource", "namespace"}: 403 and "not allowed" in reviews |
| POST tokens | {"namespace", "name"} of a service account; returns its token |
| GET targets | the pods that run, as Prometheus' HTTP service discovery reads them: scraped through the proxy |
| PUT nodes/NAME | {"ready": bool, "unschedulable": bool} |
| PUT pods/NAMESPACE/NAME | {"ready": bool}: a single pod's readiness |
"""  # noqa: E501 — a table

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.cluster.api_server.access import Denial
from sandbox.cluster.api_server.callers import KUBELET
from sandbox.cluster.api_server.faults import FaultError, parse_fault
from sandbox.cluster.api_server.resources import NODES, PODS, SERVICES
from sandbox.cluster.controllers import pod_status
from sandbox.cluster.controllers.images import ImageRuleError, parse_behaviour
from sandbox.cluster.network.load_balancers import URL
from sandbox.cluster.objects import Json, copy_json, timestamp

if TYPE_CHECKING:
    from sandbox.cluster.core import Cluster

Handler = Callable[[Request], Awaitable[Response]]


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


async def _body(request: Request) -> Any:
    content = await request.body()
    return orjson.loads(content) if content.strip() else {}


def administration(cluster: Cluster) -> Starlette:
    """The ASGI application behind /_sandbox/."""
    handlers = _Handlers(cluster)
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "state", handlers.state),
        ("GET", "faults", handlers.get_faults),
        ("POST", "faults", handlers.plan_faults),
        ("DELETE", "faults", handlers.clear_faults),
        ("POST", "unreachable", handlers.unreachable),
        ("POST", "connections/cut", handlers.cut),
        ("POST", "watches/{action}", handlers.watches),
        ("GET", "images", handlers.get_images),
        ("PUT", "images", handlers.put_image),
        ("DELETE", "images", handlers.delete_image),
        ("PUT", "timings", handlers.put_timings),
        ("GET", "history", handlers.history),
        ("DELETE", "history", handlers.clear_history),
        ("POST", "denials", handlers.deny),
        ("DELETE", "denials", handlers.clear_denials),
        ("POST", "tokens", handlers.make_token),
        ("GET", "targets", handlers.targets),
        ("PUT", "nodes/{name}", handlers.put_node),
        ("PUT", "pods/{namespace}/{name}", handlers.put_pod),
    ]
    return Starlette(
        routes=[
            Route(f"/_sandbox/{path}", handler, methods=[method])
            for method, path, handler in routes
        ],
        exception_handlers={
            FaultError: _refused,
            ImageRuleError: _refused,
            orjson.JSONDecodeError: _refused,
        },
    )


async def _refused(request: Request, error: Exception) -> Response:
    del request
    return _json({"error": str(error)}, 400)


def _target(pod: Json, address: str) -> Json:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/proxy/metrics"
    running = (pod.get("status") or {}).get("phase") == "Running"
    return {
        "targets": [address] if running else [],
        "labels": {"__metrics_path__": path, "namespace": namespace, "pod": name},
    }


class _Handlers:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def state(self, request: Request) -> Response:
        cluster = self._cluster
        services = cluster.store.list_all(SERVICES)
        urls = {
            f"{item['metadata']['namespace']}/{item['metadata']['name']}": item["metadata"][
                "annotations"
            ][URL]
            for item in services
            if URL in (item["metadata"].get("annotations") or {})
        }
        timings = cluster.timings
        return _json(
            {
                "url": cluster.url,
                "resourceVersion": cluster.store.version,
                "requests": cluster.server.request_counts,
                "requestsOf": cluster.server.requests_of,
                "faults": cluster.faults.hits,
                "watches": cluster.watches.count,
                "timings": {name: getattr(timings, name) for name in timings.__dataclass_fields__},
                "loadBalancers": urls,
            }
        )

    async def get_faults(self, request: Request) -> Response:
        return _json([fault.body() for fault in self._cluster.faults.planned()])

    async def plan_faults(self, request: Request) -> Response:
        body = await _body(request)
        for item in body if isinstance(body, list) else [body]:
            self._cluster.faults.plan(parse_fault(item))
        return await self.get_faults(request)

    async def clear_faults(self, request: Request) -> Response:
        self._cluster.faults.clear()
        return _json([])

    async def unreachable(self, request: Request) -> Response:
        seconds = float((await _body(request)).get("seconds", 1.0))
        loop = self._cluster.view.queue
        loop.handle("go-away", lambda length: self._cluster.listener.go_away(float(length)))
        loop.add_after("go-away", seconds, 0.02)  # after this reply is out
        return _json({"seconds": seconds})

    async def cut(self, request: Request) -> Response:
        queue = self._cluster.view.queue
        queue.handle("cut", lambda _: self._cluster.listener.cut_all())
        queue.add_after("cut", "", 0.02)
        return _json({})

    async def watches(self, request: Request) -> Response:
        match request.path_params["action"]:
            case "end":
                self._cluster.watches.end_all()
            case "expire":
                self._cluster.store.compact()
                self._cluster.watches.expire_all()
            case "compact":
                self._cluster.store.compact()
            case other:
                return _json(
                    {"error": f"unknown action {other}; known are end, expire, compact"}, 404
                )
        return _json({})

    async def get_images(self, request: Request) -> Response:
        rules = self._cluster.images
        shown = [{"pattern": pattern, "kind": behaviour.kind} for pattern, behaviour in rules.rules]
        return _json({"rules": shown, "known": rules.known})

    async def put_image(self, request: Request) -> Response:
        body = await _body(request)
        rules = self._cluster.images
        if "known" in body:
            rules.known = body["known"]
        if "pattern" in body:
            rules.remove(body["pattern"])
            rules.add(body["pattern"], parse_behaviour(body.get("behaviour", "ready")))
        self._cluster.controllers.kubelet.behaviours_changed()
        return await self.get_images(request)

    async def delete_image(self, request: Request) -> Response:
        self._cluster.images.remove(request.query_params.get("pattern", ""))
        self._cluster.controllers.kubelet.behaviours_changed()
        return await self.get_images(request)

    async def put_timings(self, request: Request) -> Response:
        timings = self._cluster.timings
        for name, value in (await _body(request)).items():
            if name not in timings.__dataclass_fields__:
                return _json({"error": f"unknown timing {name}"}, 400)
            setattr(timings, name, float(value))
        return await self.state(request)

    async def history(self, request: Request) -> Response:
        query = request.query_params
        writes = self._cluster.history.since(int(query.get("since", "0")))
        wanted = [
            write.body()
            for write in writes
            if query.get("resource") in (None, write.resource)
            and query.get("verb") in (None, write.verb)
        ]
        return _json(wanted)

    async def clear_history(self, request: Request) -> Response:
        self._cluster.history.clear()
        return _json({})

    async def deny(self, request: Request) -> Response:
        body = await _body(request)
        self._cluster.access.denials.append(
            Denial(
                body.get("verb", ""),
                body.get("group", "*"),
                body.get("resource", ""),
                body.get("namespace", ""),
            )
        )
        return _json({})

    async def clear_denials(self, request: Request) -> Response:
        self._cluster.access.denials.clear()
        return _json({})

    async def make_token(self, request: Request) -> Response:
        body = await _body(request)
        return _json(
            {"token": self._cluster.access.add_service_account(body["namespace"], body["name"])}
        )

    async def targets(self, request: Request) -> Response:
        del request
        address = self._cluster.url.partition("://")[2]
        return _json([_target(pod, address) for pod in self._cluster.store.list_all(PODS)])

    async def put_node(self, request: Request) -> Response:
        body = await _body(request)
        node = self._cluster.store.get(NODES, "", request.path_params["name"])
        if node is None:
            return _json({"error": f"no node {request.path_params['name']}"}, 404)
        changed: Json = copy_json(node)
        if "unschedulable" in body:
            changed.setdefault("spec", {})["unschedulable"] = bool(body["unschedulable"])
        if "ready" in body:
            for condition in changed["status"]["conditions"]:
                if condition["type"] == "Ready":
                    condition["status"] = "True" if body["ready"] else "Unknown"
                    condition["reason"] = "KubeletReady" if body["ready"] else "NodeStatusUnknown"
                    condition["lastTransitionTime"] = timestamp(self._cluster.view.clock())
        self._cluster.registry.write_directly(NODES, changed, KUBELET)
        return _json({})

    async def put_pod(self, request: Request) -> Response:
        body = await _body(request)
        pod = self._cluster.store.get(
            PODS, request.path_params["namespace"], request.path_params["name"]
        )
        if pod is None:
            return _json({"error": f"no pod {request.path_params['name']}"}, 404)
        changed: Json = copy_json(pod)
        for status in changed["status"].get("containerStatuses") or ():
            status["ready"] = bool(body.get("ready", True))
        names = [container["name"] for container in pod["spec"]["containers"]]
        pod_status.set_pod_conditions(changed["status"], names, self._cluster.view.now())
        self._cluster.registry.write_directly(PODS, changed, KUBELET, "patch")
        return _json({})
