"""The demo applications: a pod's reply to an HTTP request, by its image. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from sandbox.cluster.controllers.images import tag_of
from sandbox.cluster.objects import Json


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True)
class Forward:
    """A reverse proxy passes the request on to a Service."""

    service: str
    namespace: str
    path: str


def json_reply(body: Json, status: int = 200) -> Reply:
    return Reply(status, orjson.dumps(body) + b"\n")


def answer(pod: Json, path: str, configuration: str, version: str) -> Reply | Forward:
    """The reply of the pod's first container; `configuration` is its mounted nginx configuration,
    if any."""
    container = pod["spec"]["containers"][0]
    if configuration:
        return _proxied(pod, path, configuration)
    name = container["image"].partition("@")[0].rpartition("/")[2].partition(":")[0]
    shown = version or tag_of(container["image"])
    match path.partition("?")[0]:
        case "/version":
            return json_reply({"version": shown})
        case "/healthz" | "/readiness" | "/readyz":
            return Reply(200, b"ok\n", "text/plain")
        case "/hostname":
            return json_reply({"hostname": pod["metadata"]["name"]})
        case "/login" if name == "auth":
            return json_reply({"token": "demo"})
        case "/":
            if name == "nginx":
                return Reply(200, b"<h1>Welcome to nginx!</h1>\n", "text/html")
            return json_reply({"message": "Hello"})
        case _:
            return Reply(404, b"404 page not found\n", "text/plain")


def _proxied(pod: Json, path: str, configuration: str) -> Reply | Forward:
    """nginx: the longest location that is a prefix of the path, through its upstream."""
    upstreams = {
        found.group(1): found.group(2)
        for found in re.finditer(
            r"upstream\s+(\S+)\s*\{[^}]*?server\s+([^;\s]+)[^;]*;", configuration
        )
    }
    locations = {
        found.group(1): found.group(2)
        for found in re.finditer(
            r"location\s+(\S+)\s*\{[^}]*?proxy_pass\s+https?://([^;/\s]+)", configuration
        )
    }
    prefixes = [prefix for prefix in locations if path.startswith(prefix)]
    if not prefixes:
        return Reply(404, b"<h1>404 Not Found</h1>\n", "text/html")
    target = locations[max(prefixes, key=len)]
    host = upstreams.get(target, target).partition(":")[0]
    parts = host.split(".")
    namespace = parts[1] if len(parts) > 1 else pod["metadata"]["namespace"]
    return Forward(parts[0], namespace, path)


def serves_tls(configuration: str, port: int) -> bool:
    """Whether the application expects HTTPS on a port."""
    if configuration:
        block = re.search(rf"listen\s+{port}\b[^;]*;", configuration)
        if block is None:
            return False
        return "ssl" in block.group(0) or bool(re.search(r"\bssl\s+on\s*;", configuration))
    return port in (443, 8443)
