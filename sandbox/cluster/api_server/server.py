"""The ASGI application: paths and verbs of the Kubernetes API, faults, and responses."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from sandbox.cluster.api_server import discovery, failures, openapi, patching, reviews, scaling
from sandbox.cluster.api_server.access import Access, Attributes
from sandbox.cluster.api_server.callers import Caller, DeleteOptions, WriteOptions
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.faults import Fault, Faults, delay_for
from sandbox.cluster.api_server.listing import bad_version, list_objects, object_test
from sandbox.cluster.api_server.registry import Registry
from sandbox.cluster.api_server.requests import (
    AGGREGATED_DISCOVERY,
    Answer,
    Request,
    Target,
    parse_target,
)
from sandbox.cluster.api_server.resources import Resource, ResourceTable
from sandbox.cluster.api_server.schemas import KUBERNETES_VERSION
from sandbox.cluster.api_server.store import Store
from sandbox.cluster.api_server.tables import TableWriter
from sandbox.cluster.api_server.watching import Watches, WatchRequest
from sandbox.cluster.objects import Json, uid_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Special = Callable[[Request, Target, Caller], Awaitable[Answer]]

ADMIN_PREFIX = "/_sandbox/"
_RETURNED_WHEN_DELETED = frozenset(
    {
        ("", "pods"),
        ("", "services"),
        ("", "serviceaccounts"),
        ("", "resourcequotas"),
        ("", "persistentvolumeclaims"),
    }
)


class ApiServer:
    """Serves the registry; `specials` answer subresources that are no plain objects (log, proxy,
    eviction)."""

    def __init__(
        self,
        registry: Registry,
        table: ResourceTable,
        store: Store,
        access: Access,
        faults: Faults,
        watches: Watches,
        admin: Callable[[Scope, Receive, Send], Awaitable[None]],
        *,
        kubernetes: tuple[int, int, int] = KUBERNETES_VERSION,
    ) -> None:
        self._kubernetes = kubernetes
        self._registry = registry
        self._table = table
        self._store = store
        self._access = access
        self._faults = faults
        self._watches = watches
        self._admin = admin
        self._openapi = openapi.OpenApi(table)
        self._random = random.Random()
        self.specials: dict[str, Special] = {}
        self.request_counts: dict[str, int] = {}
        self.requests_of: dict[str, dict[str, int]] = {}  # by the product of the user agent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].startswith(ADMIN_PREFIX):
            await self._admin(scope, receive, send)
            return
        request = await _read(scope, receive)
        is_watch = request.flag("watch") or "/watch/" in request.path
        self._count(request, is_watch=is_watch)
        met = self._faults.take(request.method, request.path, request.agent, is_watch=is_watch)
        if met:
            await delay_for(met)
            if await self._meets_failure(met[-1], request, scope, send):
                return
        try:
            answer = await self._answer(request)
        except ApiFailure as failure:
            answer = Answer(failure.code, failure.body, failure.headers)
        if met and met[-1].kind in ("reset_after", "lost_reply"):
            scope["state"]["transport"].abort()
            return
        if answer.stream is not None:
            await _send_stream(answer, receive, send)
        else:
            await _send(answer, send)

    def _count(self, request: Request, *, is_watch: bool) -> None:
        verb = "WATCH" if is_watch else request.method
        for counts in (self.request_counts, self.requests_of.setdefault(request.product, {})):
            counts[verb] = counts.get(verb, 0) + 1

    async def _meets_failure(
        self, fault: Fault, request: Request, scope: Scope, send: Send
    ) -> bool:
        match fault.kind:
            case "reset_before":
                scope["state"]["transport"].abort()
            case "error":
                message = "Internal error occurred: a fault was asked for"
                await _send_failure(ApiFailure(fault.code, "InternalError", message), send)
            case "throttle":
                message = "Too many requests, please try again later."
                failure = ApiFailure(
                    429,
                    "TooManyRequests",
                    message,
                    {"retryAfterSeconds": int(fault.seconds)},
                    retry_after=int(fault.seconds),
                )
                await _send_failure(failure, send)
            case "conflict":
                target = parse_target(request.path, self._table)
                name = target.name if target else ""
                resource = target.resource if target else None
                if resource is None:
                    return False
                await _send_failure(failures.conflict(resource, name, failures.MODIFIED), send)
            case "invalid":
                await _send_failure(failures.rejected_patch(), send)
            case "watch_gone":
                body = failures.expired(f"too old resource version: 1 ({self._store.version})").body
                line = orjson.dumps({"type": "ERROR", "object": body}) + b"\n"
                await _send(Answer(200, line), send)
            case _:
                return False
        return True

    async def _answer(self, request: Request) -> Answer:
        caller = self._access.caller(request.headers.get("authorization", ""), request.agent)
        target = parse_target(request.path, self._table)
        if target is None:
            return self._answer_path(request, caller)
        verb = target.verb(request)
        self._check_access(caller, verb, target)
        if (
            target.subresource in self.specials
            and target.subresource in target.resource.subresources
        ):
            return await self.specials[target.subresource](request, target, caller)
        if target.subresource and target.subresource not in target.resource.subresources:
            raise failures.unknown_path()
        return self._answer_resource(request, target, caller, verb)

    def _check_access(self, caller: Caller, verb: str, target: Target) -> None:
        resource = target.resource
        wanted = Attributes(
            verb,
            resource.group,
            resource.plural,
            target.subresource,
            target.namespace_scope,
            target.name,
        )
        self._access.check(caller, wanted)

    def _answer_path(self, request: Request, caller: Caller) -> Answer:
        path = request.path.rstrip("/") or "/"
        self._access.check(caller, Attributes(request.method.lower(), path=path))
        parts = path.strip("/").split("/")
        match parts:
            case ["healthz" | "livez" | "readyz"] | ["healthz" | "livez" | "readyz", _]:
                return Answer(200, b"ok", content_type="text/plain; charset=utf-8")
            case ["api" | "apis"] if request.wants_aggregated_discovery:
                found = discovery.aggregated(self._table, core=parts == ["api"])
                return Answer(200, found, content_type=AGGREGATED_DISCOVERY)
            case ["openapi", "v3", _, *_]:
                return self._openapi_document(path)
            case _:
                return Answer(200, self._described(parts))

    def _openapi_document(self, path: str) -> Answer:
        matched = openapi.is_document_path(path)
        document = self._openapi.document(matched.group(1)) if matched else None
        if document is None:
            raise failures.unknown_path()
        content, digest = document
        headers = {"Etag": f'"{digest}"', "Cache-Control": "public, immutable"}
        return Answer(200, content, headers)

    def _described(self, parts: list[str]) -> Json:
        """The server's description of itself at a path: version, groups, resources."""
        found: Json | None = None
        match parts:
            case ["version"]:
                found = discovery.version(self._kubernetes)
            case ["api"]:
                found = discovery.core_versions()
            case ["api", "v1"]:
                found = discovery.resources(self._table, "", "v1")
            case ["apis"]:
                found = discovery.groups(self._table)
            case ["apis", group]:
                found = discovery.one_group(self._table, group)
            case ["apis", group, version]:
                found = discovery.resources(self._table, group, version)
            case ["openapi", "v3"]:
                found = self._openapi.index()
            case ["" | "/"]:
                found = {"paths": _PATHS}
            case _:
                pass
        if found is None:
            raise failures.unknown_path()
        return found

    def _answer_resource(
        self, request: Request, target: Target, caller: Caller, verb: str
    ) -> Answer:
        resource = target.resource
        needs_name = verb in ("update", "patch")
        if (verb not in resource.verbs and not target.subresource) or (
            needs_name and not target.name
        ):
            raise failures.method_not_allowed()
        if resource.group in ("authorization.k8s.io", "authentication.k8s.io"):
            return Answer(201, reviews.answer(self._access, resource, request.json(), caller))
        if verb not in _VERBS:
            raise failures.method_not_allowed()
        return _VERBS[verb](self, request, target, caller)

    def _get(self, request: Request, target: Target, caller: Caller) -> Answer:
        del caller
        obj = self._registry.get(target.resource, target.namespace, target.name)
        if target.subresource == "scale":
            return Answer(200, scaling.scale_of(obj))
        return Answer(200, self._represented(request, target.resource, obj))

    def _list(self, request: Request, target: Target, caller: Caller) -> Answer:
        del caller
        found = list_objects(
            self._store,
            target.resource,
            target.namespace,
            request.query,
            _table_of(request, target.resource),
            metadata_only=request.wants_metadata_only,
        )
        return Answer(200, found)

    def _represented(self, request: Request, resource: Resource, obj: Json) -> Json:
        table = _table_of(request, resource)
        if table is not None:
            return table.single(obj)
        if request.wants_metadata_only:
            return {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            }
        return obj

    def _watch(self, request: Request, target: Target, caller: Caller) -> Answer:
        del caller
        query = request.query
        version = query.get("resourceVersion", "")
        if version and not version.isdigit():
            raise failures.ApiFailure(
                500, "", bad_version(version).message.removeprefix("invalid resource version: ")
            )
        seconds = float(query.get("timeoutSeconds") or self._random.uniform(1800, 3600))
        watch = WatchRequest(
            resource=target.resource,
            namespace=target.namespace,
            matches=object_test(target.resource, query, target.name),
            version=version,
            bookmarks=request.flag("allowWatchBookmarks"),
            initial_events=request.flag("sendInitialEvents"),
            timeout_seconds=seconds,
            table=_table_of(request, target.resource),
        )
        return Answer(200, b"", stream=self._watches.stream(watch))

    def _create(self, request: Request, target: Target, caller: Caller) -> Answer:
        options = request.write_options()
        stored = self._registry.create(
            target.resource, target.namespace, request.json(), caller, options
        )
        return _written(201, self._represented(request, target.resource, stored), options)

    def _update(self, request: Request, target: Target, caller: Caller) -> Answer:
        options = request.write_options()
        resource = target.resource
        if target.subresource == "scale":
            obj = self._registry.get(resource, target.namespace, target.name)
            scale = scaling.write_scale(
                self._registry, resource, obj, request.json(), caller, options, "update"
            )
            return _written(200, scale, options)
        stored = self._registry.update(
            resource,
            target.namespace,
            target.name,
            request.json(),
            caller,
            options,
            target.subresource,
        )
        return _written(200, self._represented(request, resource, stored), options)

    def _patch(self, request: Request, target: Target, caller: Caller) -> Answer:
        options = request.write_options()
        resource = target.resource
        content_type = request.content_type
        if target.subresource == "scale":
            obj = self._registry.get(resource, target.namespace, target.name)
            scale = scaling.patch_scale(
                self._registry, resource, obj, content_type, request.body, caller, options
            )
            return _written(200, scale, options)
        if (
            content_type == patching.APPLY_PATCH
            and self._registry.store.get(resource, target.namespace, target.name) is None
        ):
            self._check_access(caller, "create", target)  # applying a missing object creates it
        stored, created = patching.patch_object(
            self._registry,
            resource,
            target.namespace,
            target.name,
            content_type,
            request.body,
            caller,
            options,
            target.subresource,
        )
        return _written(
            201 if created else 200, self._represented(request, resource, stored), options
        )

    def _delete(self, request: Request, target: Target, caller: Caller) -> Answer:
        resource = target.resource
        options = request.delete_options()
        obj, is_gone = self._registry.delete(
            resource, target.namespace, target.name, caller, options
        )
        if not is_gone or resource.key in _RETURNED_WHEN_DELETED:
            return Answer(200, obj)
        details: Json = {
            "name": target.name,
            "group": resource.group,
            "kind": resource.plural,
            "uid": uid_of(obj),
        }
        details = {key: value for key, value in details.items() if value}
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return Answer(200, body)

    def _delete_collection(self, request: Request, target: Target, caller: Caller) -> Answer:
        resource = target.resource
        options = request.delete_options()
        matches = object_test(resource, request.query)
        found = [obj for obj in self._store.list_all(resource, target.namespace) if matches(obj)]
        items = []
        for obj in found:
            metadata = obj["metadata"]
            single = DeleteOptions(options.dry_run, options.grace_period, options.propagation)
            items.append(
                self._registry.delete(
                    resource, metadata.get("namespace", ""), metadata["name"], caller, single
                )[0]
            )
        body: Json = {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self._store.version)},
            "items": items,
        }
        return Answer(200, body)


_PATHS = ["/api", "/api/v1", "/apis", "/healthz", "/openapi/v3", "/version"]
_VERBS: dict[str, Callable[[ApiServer, Request, Target, Caller], Answer]] = {
    "get": ApiServer._get,
    "list": ApiServer._list,
    "watch": ApiServer._watch,
    "create": ApiServer._create,
    "update": ApiServer._update,
    "patch": ApiServer._patch,
    "delete": ApiServer._delete,
    "deletecollection": ApiServer._delete_collection,
}


def _table_of(request: Request, resource: Resource) -> TableWriter | None:
    if not request.wants_table:
        return None
    return TableWriter(resource, request.query.get("includeObject", ""))


def _written(code: int, obj: Json, options: WriteOptions) -> Answer:
    escaped = (text.replace('"', '\\"') for text in options.warnings)
    return Answer(code, obj, warnings=[f'299 - "{text}"' for text in escaped])


async def _read(scope: Scope, receive: Receive) -> Request:
    chunks = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    path = unquote(scope["raw_path"].decode("latin-1")) if "raw_path" in scope else scope["path"]
    client = scope.get("client") or ("127.0.0.1", 0)
    return Request(scope["method"], path, query, headers, b"".join(chunks), client[0])


async def _send_failure(failure: ApiFailure, send: Send) -> None:
    await _send(Answer(failure.code, failure.body, failure.headers), send)


async def _send(answer: Answer, send: Send) -> None:
    content = answer.content if isinstance(answer.content, bytes) else orjson.dumps(answer.content)
    headers = answer.raw_headers()
    headers.append((b"content-length", str(len(content)).encode()))
    if not any(name.lower() == b"date" for name, _ in headers):  # a proxied app may send its own
        headers.append((b"date", formatdate(usegmt=True).encode()))
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _send_stream(answer: Answer, receive: Receive, send: Send) -> None:
    await send(
        {"type": "http.response.start", "status": answer.code, "headers": answer.raw_headers()}
    )
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    stream = answer.stream
    assert stream is not None

    async def forward() -> None:
        async for chunk in stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def until_disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(forward()), asyncio.ensure_future(until_disconnected())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await send({"type": "http.response.body", "body": b""})
