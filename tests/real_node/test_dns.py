"""The names that pods of the real nodes look up."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from sandbox.real_node.dns import NO_SUCH_NAME, addresses, reply

SERVICES = "/api/v1/namespaces/shop/services/"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
OF = "?labelSelector=kubernetes.io/service-name%3D"


def _endpoint(address: str, name: str, ready: bool = True) -> dict[str, Any]:
    return {"addresses": [address], "hostname": name, "conditions": {"ready": ready}}


OBJECTS: dict[str, Any] = {
    SERVICES + "hello": {"spec": {"clusterIP": "10.96.0.7"}},
    SERVICES + "redis": {"spec": {"clusterIP": "None"}},
    f"{SLICES}{OF}redis": {
        "items": [
            {
                "endpoints": [
                    _endpoint("10.244.1.5", "redis-0"),
                    _endpoint("10.244.2.5", "redis-1", ready=False),
                ]
            }
        ]
    },
}


def _query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return (
        struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("hello.shop.svc.cluster.local", ["10.96.0.7"]),
        ("HELLO.shop.svc.cluster.local.", ["10.96.0.7"]),
        ("redis.shop.svc.cluster.local", ["10.244.1.5"]),
        ("redis-0.redis.shop.svc.cluster.local", ["10.244.1.5"]),
        ("redis-1.redis.shop.svc.cluster.local", None),
        ("other.shop.svc.cluster.local", None),
        ("example.com", None),
        ("hello", None),
    ],
)
def test_a_name_leads_to_a_service_or_to_its_ready_pods(name: str, found: list[str] | None) -> None:
    assert addresses(name, OBJECTS.get) == found


def test_a_reply_repeats_the_question_and_holds_the_address() -> None:
    question = _query("hello.shop.svc.cluster.local")
    answer = reply(question, OBJECTS.get)
    assert answer[:2] == question[:2]
    assert answer[12:].startswith(question[12:])
    assert answer.endswith(bytes([10, 96, 0, 7]))


def test_there_is_no_ipv6_and_no_name_outside_of_the_cluster() -> None:
    ipv6 = reply(_query("hello.shop.svc.cluster.local", kind=28), OBJECTS.get)
    assert struct.unpack_from(">HHHHHH", ipv6)[3] == 0 and ipv6[3] & 15 == 0
    assert reply(_query("example.com"), OBJECTS.get)[3] & 15 == NO_SUCH_NAME
