"""The names of Services, for the pods of a real node:
`python -I dns.py HOST:PORT SERVER CA TOKENS`.

Every question is answered from the API server, so nothing is out of date. It knows Services (of a
headless one the ready pods, together and each by its host name) and nothing outside of the cluster.
"""

from __future__ import annotations

import ipaddress
import json
import socketserver
import ssl
import struct
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ZONE = ("svc", "cluster", "local")
HEADER = struct.Struct(">HHHHHH")
ANSWERED, RECURSION = 0x8400, 0x0080
NO_SUCH_NAME = 3
A, INTERNET = 1, 1
SECONDS = 1
Read = Callable[[str], Any]
"""The object at a path of the API server, None where there is none."""


def addresses(name: str, read: Read) -> list[str] | None:
    """Those of a Service or of one of its pods, None for a name that there is not."""
    labels = tuple(name.lower().rstrip(".").split("."))
    if labels[-3:] != ZONE or len(labels) not in (5, 6):
        return None
    *pod, service, namespace = labels[:-3]
    found = read(f"/api/v1/namespaces/{namespace}/services/{service}")
    if found is None:
        return None
    if not pod and found["spec"].get("clusterIP") != "None":
        return [found["spec"]["clusterIP"]]
    slices = read(
        f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        f"?labelSelector=kubernetes.io/service-name%3D{service}"
    )
    return [
        endpoint["addresses"][0]
        for one in slices["items"]
        for endpoint in one.get("endpoints") or ()
        if (not pod or endpoint.get("hostname") == pod[0])
        and (endpoint["conditions"].get("ready") or found["spec"].get("publishNotReadyAddresses"))
    ] or ([] if not pod else None)


def reply(question: bytes, read: Read) -> bytes:
    """To one query with one question, as every resolver sends."""
    number = HEADER.unpack_from(question)[0]
    labels, at = [], HEADER.size
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    end = at + 5
    (kind,) = struct.unpack_from(">H", question, at + 1)
    found = addresses(".".join(labels), read)
    records = [
        struct.pack(">HHHIH", 0xC000 | HEADER.size, A, INTERNET, SECONDS, 4)
        + ipaddress.IPv4Address(address).packed
        for address in (found or ())
        if kind == A
    ]
    flags = ANSWERED | RECURSION | (NO_SUCH_NAME if found is None else 0)
    header = HEADER.pack(number, flags, 1, len(records), 0, 0)
    return header + question[HEADER.size : end] + b"".join(records)


def _reader(server: str, authority: str, token: str) -> Read:
    context = ssl.create_default_context(cafile=authority)

    def read(path: str) -> Any:
        asked = urllib.request.Request(server + path, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(asked, timeout=5, context=context) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    return read


class Server(socketserver.BaseRequestHandler):
    read: Read

    def handle(self) -> None:
        question, socket = self.request
        socket.sendto(reply(question, type(self).read), self.client_address)


if __name__ == "__main__":
    _, address, api, authority, tokens = sys.argv
    host, _, port = address.rpartition(":")
    token = Path(tokens).read_text(encoding="utf-8").partition(",")[0]
    Server.read = staticmethod(_reader(api, authority, token))
    socketserver.ThreadingUDPServer((host, int(port)), Server).serve_forever()
