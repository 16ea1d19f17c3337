"""Pilothouse as a team installs it: the image of the Dockerfile in the pods of the chart, installed
by helm, with a Slack outside of the cluster."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.control_plane import ControlPlaneFailed
from sandbox.free_ports import free_ports
from sandbox.images import REDIS, Images
from sandbox.real_node import RealNodes
from sandbox.real_node.certificates import Authority, common_name
from sandbox.slack import LocalSlack, SlackSettings
from tests.journeys.conftest import CHANNEL, objects_of
from tests.real_cluster import CHART
from tests.real_node import own_redis

RELEASE = "pilothouse"
AUTHORITY = "ssl_ca_certs=/etc/own-redis/ca.crt"
HELM_WAITS = "110s"
_numbers = itertools.count(1)


def catalog_of(app: str) -> dict[str, Any]:
    entry = {
        "images": [f"pilothouse/{app}"],
        "scale": {"min": 1, "max": 20},
        "canary": {"steps": [50], "hold": "1h"},
    }
    return {
        "clusters": {"production": {"in_cluster": True}},
        "defaults": {"channel": CHANNEL, "namespace": "default"},
        "apps": {app: entry},
        "access": {
            "channels": [CHANNEL],
            "roles": {
                "viewer": {"everyone": True},
                "deployer": {"users": ["U0DEV1", "U0MANAGER"]},
                "approver": {"users": ["U0MANAGER"]},
                "admin": {"users": ["U0ADMIN"]},
            },
        },
    }


def _only_on(node: str) -> dict[str, Any]:
    wanted = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {"nodeSelectorTerms": [{"matchExpressions": [wanted]}]}


def apply_app(nodes: RealNodes, app: str, replicas: int) -> None:
    """The Deployment and the Service of the demo app in `default`, of version 1.0.0, with all its
    pods available: a release of an app that is still starting is asked to wait."""
    for body in objects_of(app, replicas):
        nodes.kubectl("apply", "--filename=-", stdin=json.dumps(body))
    nodes.kubectl("rollout", "status", f"deployment/{app}", "--timeout=110s")


@dataclass
class Installation:
    """A namespace with what an administrator makes before `helm install`, and a Slack of its own;
    both go with the block."""

    nodes: RealNodes
    folder: Path
    app: str
    namespace: str = field(default_factory=lambda: f"bots{next(_numbers)}")
    _opened: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            self.nodes.kubectl("create", "namespace", self.namespace)
            opened.callback(
                self.nodes.kubectl, "delete", "namespace", self.namespace, "--wait=false"
            )
            self.slack = opened.enter_context(self._slack())
            self.create_secret("pilothouse-slack", self.secrets())
            authority = self.nodes.authority.read_text()
            self.apply(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "authority"},
                    "data": {"ca.crt": authority},
                }
            )
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        with self._opened:
            if self.is_installed():
                self.uninstall()

    @contextlib.contextmanager
    def _slack(self) -> Iterator[LocalSlack]:
        inside, (port,) = 8000 + next(_numbers), free_ports(1)
        seen_at = self.nodes.forward_out(inside, port)
        with LocalSlack(SlackSettings(rate_scale=0), port=port, seen_at=seen_at) as slack:
            yield slack

    def secrets(self) -> dict[str, str | bytes]:
        """Of its Slack, as the chart's Secret holds them."""
        settings = self.slack.settings
        return {
            "bot-token": settings.bot_token,
            "signing-secret": settings.signing_secret,
            "app-token": settings.app_token,
        }

    def gate_log(self) -> str:
        """Of the check before an install or upgrade that failed."""
        return self.kubectl("logs", f"job/{RELEASE}-gate")

    def create_secret(self, name: str, content: Mapping[str, str | bytes]) -> None:
        data = {
            key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
            for key, value in content.items()
        }
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})

    def apply(self, *bodies: dict[str, Any]) -> None:
        for body in bodies:
            self.kubectl("apply", "--filename=-", stdin=json.dumps(body))

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.nodes.kubectl(f"--namespace={self.namespace}", *words, stdin=stdin)

    def helm(self, *words: str) -> str:
        return self.nodes.helm(f"--namespace={self.namespace}", *words)

    def is_installed(self) -> bool:
        return RELEASE in self.helm("list", "--short").split()

    def values(self, **more: Any) -> dict[str, Any]:
        """Small, on the images that were built here; ``more`` wins, a level deep."""
        name, _, tag = Images().pilothouse.partition(":")
        redis, _, redis_tag = REDIS.partition(":")
        values: dict[str, Any] = {
            "image": {"repository": name, "tag": tag},
            "slack": {"apiUrl": self.slack.api_url, "commands": "all"},
            "catalog": catalog_of(self.app),
            "extraEnv": [{"name": "SLACK_CA_FILE", "value": "/etc/authority/ca.crt"}],
            "extraVolumes": [{"name": "authority", "configMap": {"name": "authority"}}],
            "extraVolumeMounts": [{"name": "authority", "mountPath": "/etc/authority"}],
            "rbac": {"namespaces": ["default"]},
            "bot": {"replicas": 1},
            "worker": {"replicas": 1, "processes": 1},
            "redis": {
                "image": {"repository": redis, "tag": redis_tag},
                "persistence": {"enabled": False},
            },
        }
        for key, value in more.items():
            is_group = isinstance(value, dict) and isinstance(values.get(key), dict)
            values[key] = {**values[key], **value} if is_group else value
        return values

    def own_redis(self, password: str) -> str:
        """A Redis with TLS and a password, outside of the chart; returns its URL, for a pod that
        has its authority."""
        self._run(own_redis.server(password))
        return f"rediss://:{password}@{own_redis.NAME}:6379/0?{AUTHORITY}"

    def own_sentinel(self, password: str, sentinel_password: str) -> str:
        """The same with a replica, and with a Sentinel that has a password of its own."""
        self._run(own_redis.replicated(password, sentinel_password))
        return (
            f"rediss+sentinel://:{password}@{own_redis.SENTINEL}:26379/{own_redis.SERVICE}/0"
            f"?sentinel_password={sentinel_password}&{AUTHORITY}"
        )

    def _run(self, objects: list[dict[str, Any]]) -> None:
        certs = self.folder / "redis-certs"
        certs.mkdir()
        authority = Authority()
        authority.write(certs / "ca.crt")
        authority.write_signed(certs / "tls", [common_name("redis")], own_redis.HOSTS)
        files = {path.name: path.read_text() for path in certs.iterdir()}
        self.create_secret(own_redis.TLS_SECRET, files)
        self.apply(*objects)
        pods = [f"pod/{one['metadata']['name']}" for one in objects if one["kind"] == "Pod"]
        self.kubectl("wait", *pods, "--for=condition=Ready", "--timeout=110s")

    def own_redis_values(self) -> dict[str, Any]:
        values = self.values()
        secret = {
            "secretName": own_redis.TLS_SECRET,
            "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }
        return {
            "redis": {"bundled": False, "existingSecret": "own-redis-url"},
            "extraVolumes": [*values["extraVolumes"], {"name": own_redis.NAME, "secret": secret}],
            "extraVolumeMounts": [
                *values["extraVolumeMounts"],
                {"name": own_redis.NAME, "mountPath": "/etc/own-redis"},
            ],
        }

    def keep_redis_on(self, node: int) -> dict[str, Any]:
        """A volume on a node, as a storage class would make it; returns the chart's values."""
        volume = f"{self.namespace}-redis"
        folder = self.nodes.folder / f"node-{node}" / "var" / volume
        folder.mkdir()
        os.chown(folder, own_redis.USER, own_redis.USER)
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": volume},
                "spec": {
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": volume,
                    "local": {"path": f"/var/{volume}"},
                    "nodeAffinity": {"required": _only_on(f"node-{node}")},
                },
            }
        )
        self._opened.callback(
            self.nodes.kubectl, "delete", f"persistentvolume/{volume}", "--wait=false"
        )
        wanted = {"enabled": True, "size": "1Gi", "storageClass": volume}
        return {"redis": {**self.values()["redis"], "persistence": wanted}}

    def install(self, *, wait: bool = True, **more: Any) -> None:
        self._write("install", wait, more)
        if wait:
            self.connect()

    def upgrade(self, **more: Any) -> None:
        self._write("upgrade", True, more)

    def rollback(self) -> None:
        self.helm("rollback", RELEASE, "--wait", f"--timeout={HELM_WAITS}")

    def test(self) -> str:
        return self.helm("test", RELEASE, f"--timeout={HELM_WAITS}")

    def pods(self, component: str) -> list[str]:
        selector = f"--selector=app.kubernetes.io/component={component}"
        return self.kubectl("get", "pods", selector, "--output=name").split()

    def objects(self) -> set[str]:
        """What carries the release's name, in all namespaces, of every kind that can be listed."""
        kinds = self.nodes.kubectl("api-resources", "--verbs=list", "--output=name").split()
        selector = f"--selector=app.kubernetes.io/instance={RELEASE}"
        return set(
            self.nodes.kubectl(
                "get", ",".join(kinds), selector, "--all-namespaces", "--output=name"
            ).split()
        )

    def uninstall(self) -> None:
        self.helm("uninstall", RELEASE, "--wait", f"--timeout={HELM_WAITS}")

    def _write(self, verb: str, wait: bool, more: dict[str, Any]) -> None:
        path = self.folder / f"{self.namespace}.json"
        path.write_text(json.dumps(self.values(**more)))
        waiting = ("--wait", f"--timeout={HELM_WAITS}") if wait else ()
        self.helm(verb, RELEASE, str(CHART), f"--values={path}", *waiting)

    def connect(self) -> None:
        """Slack gets the address of the bot, and the manifest that the bot prints."""
        address = self.kubectl("get", "service", RELEASE, "--output=jsonpath={.spec.clusterIP}")
        port = self.nodes.forward_in(f"{address}:80")
        self.slack.connect(f"http://127.0.0.1:{port}/slack/events")
        self.slack.install(self.run("bot", "manifest"))

    def run(self, component: str, *words: str) -> str:
        """`pilothouse WORDS` in a pod of the installation."""
        return self.kubectl("exec", f"deploy/{RELEASE}-{component}", "--", "pilothouse", *words)

    def get(self, component: str, port: int, path: str) -> tuple[int, str]:
        """Status and body of a pod's reply; 0 where there is none."""
        address = self.kubectl(
            *("get", "pods", f"--selector=app.kubernetes.io/component={component}"),
            "--output=jsonpath={.items[0].status.podIP}",
        )
        words = ("curl", "--silent", "--max-time", "5", "--write-out", "\n%{http_code}")
        asked = self.nodes.in_network(*words, f"http://{address}:{port}{path}")
        done = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=30)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def log_of(self, component: str) -> str:
        """Of its newest container, also of one that ended; "" before there is one."""
        try:
            return self.kubectl("logs", f"deploy/{RELEASE}-{component}", "--tail=15")
        except ControlPlaneFailed:
            return ""

    def logs(self) -> str:
        """The newest lines of every component, for a failure's message."""
        return "\n".join(f"{name}: {self.log_of(name)}" for name in ("bot", "worker"))
