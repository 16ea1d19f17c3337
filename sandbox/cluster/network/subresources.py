"""Subresources that reach into pods: log, eviction, and the proxy of a Service or of a pod."""

from __future__ import annotations

import asyncio

from sandbox.cluster.api_server import failures
from sandbox.cluster.api_server.access import Access
from sandbox.cluster.api_server.callers import Caller, DeleteOptions
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.registry import Registry
from sandbox.cluster.api_server.requests import Answer, Request, Target
from sandbox.cluster.controllers.kubelet import Kubelet
from sandbox.cluster.controllers.limits import BudgetController
from sandbox.cluster.network.routing import Routing
from sandbox.cluster.objects import Json, copy_json, name_of, timestamp

"""Not served: only named where the real proxy, which reads Endpoints, does not find a Service."""


class Subresources:
    def __init__(
        self,
        registry: Registry,
        kubelet: Kubelet,
        budgets: BudgetController,
        routing: Routing,
        access: Access,
    ) -> None:
        self._access = access
        self._registry = registry
        self._kubelet = kubelet
        self._budgets = budgets
        self._routing = routing

    async def log(self, request: Request, target: Target, caller: Caller) -> Answer:
        del caller
        pod = self._registry.get(target.resource, target.namespace, target.name)
        status = self._container(pod, request.query.get("container", ""))
        name = target.name
        previous = request.flag("previous")
        if previous and not (status.get("lastState") or {}).get("terminated"):
            raise failures.bad_request(
                f'previous terminated container "{status["name"]}" in pod "{name}" not found'
            )
        waiting = (status.get("state") or {}).get("waiting")
        if (
            waiting
            and not status.get("restartCount")
            and not (status.get("lastState") or {}).get("terminated")
        ):
            reason = waiting.get("reason", "")
            shown = (
                "trying and failing to pull image"
                if reason in ("ErrImagePull", "ImagePullBackOff")
                else reason
            )
            raise failures.bad_request(
                f'container "{status["name"]}" in pod "{name}" is waiting to start: {shown}'
            )
        lines = self._kubelet.logs_of(pod, previous=previous)
        if request.query.get("tailLines"):
            count = int(request.query["tailLines"])
            lines = lines[-count:] if count else []
        text = "".join(f"{line}\n" for line in lines).encode()
        if request.query.get("limitBytes"):
            text = text[: int(request.query["limitBytes"])]
        return Answer(200, text, content_type="text/plain")

    def _container(self, pod: Json, wanted: str) -> Json:
        names = [container["name"] for container in pod["spec"]["containers"]]
        if not wanted and len(names) > 1:
            shown = " ".join(names)
            raise failures.bad_request(
                f"a container name must be specified for pod {pod['metadata']['name']}, choose one"
                f" of: [{shown}]"
            )
        wanted = wanted or names[0]
        if wanted not in names:
            raise failures.bad_request(
                f"container {wanted} is not valid for pod {pod['metadata']['name']}"
            )
        for status in pod.get("status", {}).get("containerStatuses") or ():
            if status["name"] == wanted:
                found: Json = status
                return found
        return {"name": wanted, "state": {"waiting": {"reason": "ContainerCreating"}}}

    async def eviction(self, request: Request, target: Target, caller: Caller) -> Answer:
        pod = self._registry.get(target.resource, target.namespace, target.name)
        why = self._budgets.refusal(pod)
        if why:
            raise ApiFailure(
                429, "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
                {"causes": [{"reason": "DisruptionBudget", "message": why}]},
            )  # fmt: skip
        options = request.json().get("deleteOptions") or {}
        grace = options.get("gracePeriodSeconds")
        self._registry.delete(
            target.resource, target.namespace, target.name, caller,
            DeleteOptions(dry_run=request.query.get("dryRun") == "All", grace_period=grace),
        )  # fmt: skip
        return Answer(
            201,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "code": 201,
            },
        )

    async def token(self, request: Request, target: Target, caller: Caller) -> Answer:
        """TokenRequest: a token whose rights are the service account's."""
        del caller
        self._registry.get(target.resource, target.namespace, target.name)
        is_protobuf = (
            "protobuf" in request.content_type
        )  # sent by kubectl; its options cannot be decoded and are not needed
        spec = {} if is_protobuf else request.json().get("spec") or {}
        seconds = int(spec.get("expirationSeconds") or 3600)
        status = {
            "token": self._access.add_service_account(target.namespace, target.name),
            "expirationTimestamp": timestamp(self._registry.clock() + seconds),
        }
        body: Json = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": target.name, "namespace": target.namespace},
            "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": seconds},
            "status": status,
        }
        return Answer(201, body)

    async def binding(self, request: Request, target: Target, caller: Caller) -> Answer:
        """A scheduler's decision: the pod gets its node."""
        pod: Json = copy_json(self._registry.get(target.resource, target.namespace, target.name))
        node = (request.json().get("target") or {}).get("name", "")
        if pod["spec"].get("nodeName"):
            why = f'pod {target.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
            raise failures.conflict(target.resource, target.name, why)
        pod["spec"]["nodeName"] = node
        self._registry.write_directly(target.resource, pod, caller)
        return Answer(
            201,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "code": 201,
            },
        )

    async def proxy(self, request: Request, target: Target, caller: Caller) -> Answer:
        """GET .../services/[scheme:]name[:port]/proxy/path, and pods/…"""
        del caller
        name, port = _name_and_port(target)
        if target.resource.plural == "pods":
            pod = self._registry.get(target.resource, target.namespace, name)
            if pod.get("status", {}).get("phase") != "Running":
                raise _unavailable("address not allowed")
            client = request.client
        else:
            pod = self._pod_behind(target, name, port)
            forwarded = request.headers.get("x-forwarded-for", request.client)
            client = forwarded.partition(",")[0].strip()
        path = f"/{target.rest}"
        await asyncio.sleep(self._routing.answers_after(pod, path))
        reply = self._routing.ask(pod, path, client)
        return Answer(reply.status, reply.body, content_type=reply.content_type)

    def _pod_behind(self, target: Target, name: str, port: str) -> Json:
        """A ready pod behind the Service's port. The port is given by name, "" for an unnamed one,
        or by number (core/service: ResourceLocation)."""
        service = self._routing.service(target.namespace, name)
        if service is None:
            raise failures.not_found(target.resource, name)
        if port.isdigit():
            port = _name_of_port(service, int(port))
        if not self._routing.has_endpoints(service):
            raise _unavailable(f'no endpoints available for service "{name}"')
        pod = self._routing.any_pod(service, port)
        if pod is None:
            raise _unavailable(f'no endpoints available for service "{target.name}"')
        return pod


def _name_and_port(target: Target) -> tuple[str, str]:
    """Splits [scheme:]name[:port] (util/net: SplitSchemeNamePort)."""
    match target.name.split(":"):
        case [name] if name:
            return name, ""
        case [name, port] if name:
            return name, port
        case ["" | "http" | "https", name, port] if name:
            return name, port
    kind = target.resource.plural.removesuffix("s")
    raise failures.bad_request(f'invalid {kind} request "{target.name}"')


def _name_of_port(service: Json, number: int) -> str:
    for port in service["spec"].get("ports") or ():
        if port["port"] == number:
            return str(port.get("name", ""))
    raise _unavailable(f'no service port {number} found for service "{name_of(service)}"')


def _unavailable(why: str) -> ApiFailure:
    return ApiFailure(503, "ServiceUnavailable", why)
