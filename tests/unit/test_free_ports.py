"""Ports for servers that start later: nothing else is given them in the meantime."""

from __future__ import annotations

import socket
from pathlib import Path

from sandbox.free_ports import free_ports


def test_ports_are_different_and_free() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_no_port_is_one_that_linux_gives_to_sockets_that_ask_for_any() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not [port for port in free_ports(50) if first <= port <= last]
