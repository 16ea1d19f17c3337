"""A Redis outside of the chart, with TLS and passwords: a server alone, or one with a replica and a
Sentinel."""

from __future__ import annotations

from typing import Any

from sandbox.images import REDIS

NAME = "own-redis"
REPLICA, SENTINEL = f"{NAME}-replica", f"{NAME}-sentinel"
HOSTS = (NAME, REPLICA, SENTINEL)
TLS_SECRET = "own-redis-tls"
SERVICE = "pilothouse"
USER = 999
_PORT, _SENTINEL_PORT = 6379, 26_379
_TLS = """\
port 0
tls-cert-file /tls/tls.crt
tls-key-file /tls/tls.key
tls-ca-cert-file /tls/ca.crt
tls-auth-clients no
tls-replication yes
dir /data
protected-mode no
"""
_SERVER = f"""\
{_TLS}tls-port {_PORT}
appendonly yes
save ""
maxmemory-policy noeviction
repl-diskless-sync-delay 0
"""


def server(password: str) -> list[dict[str, Any]]:
    return _pod(NAME, _PORT, f"{_SERVER}requirepass {password}\n")


def replicated(password: str, sentinel_password: str) -> list[dict[str, Any]]:
    """Each is known by the name of its Service: certificates are made for those."""
    both = f"{_SERVER}requirepass {password}\nmasterauth {password}\n"
    replica = f"replicaof {NAME} {_PORT}\nreplica-announce-ip {REPLICA}\n"
    sentinel = f"""\
{_TLS}tls-port {_SENTINEL_PORT}
requirepass {sentinel_password}
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor {SERVICE} {NAME} {_PORT} 1
sentinel auth-pass {SERVICE} {password}
"""
    return [
        *_pod(NAME, _PORT, f"{both}replica-announce-ip {NAME}\n"),
        *_pod(REPLICA, _PORT, both + replica),
        *_pod(SENTINEL, _SENTINEL_PORT, sentinel, "--sentinel"),
    ]


def _pod(name: str, port: int, configuration: str, *words: str) -> list[dict[str, Any]]:
    """With a Service of the same name."""
    # A Sentinel writes into its own file.
    script = f"cat > /data/own.conf <<'END'\n{configuration}END\nexec redis-server /data/own.conf"
    container = {
        "name": "redis",
        "image": REDIS,
        "command": ["sh", "-c", " ".join((script, *words))],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "tls", "mountPath": "/tls"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    volumes = [
        {"name": "tls", "secret": {"secretName": TLS_SECRET}},
        {"name": "data", "emptyDir": {}},
    ]
    labels = {"app": name}
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "securityContext": {"fsGroup": USER},
                "containers": [container],
                "volumes": volumes,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": port}]},
        },
    ]
