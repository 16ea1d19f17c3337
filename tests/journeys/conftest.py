"""One sandbox for each test process, and one app of it for each test: journeys share a channel."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from kubernetes import client, config
from redis import Redis
from redis.exceptions import RedisError

from bot.operations.delivery.budgets import EDITS, posts_in
from bot.store.connection import PREFIX, connect
from sandbox.control_plane import ControlPlane
from sandbox.control_plane.audit import requests_in
from sandbox.free_ports import free_port
from sandbox.main import DEMO, Sandbox, run_sandbox
from sandbox.real_node import RealNodes
from tests.card_buttons import Offer, newest_offer, press
from tests.redis_monitor import denials
from tests.spawned import spawner

Seen = TypeVar("Seen")
Entry = dict[str, Any]  # of the catalog
CHANNEL = "C0RELEASES"
WATCHED = "watched-shop"
DEVELOPER, SECOND, MANAGER, ON_CALL, VIEWER, ADMIN = (
    "U0DEV1",
    "U0DEV2",
    "U0MANAGER",
    "U0ONCALL",
    "U0VIEWER",
    "U0ADMIN",
)
PEOPLE = (DEVELOPER, SECOND, MANAGER, ON_CALL, VIEWER, ADMIN)
APPROVERS = "S0ONCALL"
OWNERS = "S0DEV"
WITHIN_S = 30.0
WITH_REAL_PODS_S = 180.0  # a kubelet on a busy machine takes its time
REAL_NODE = "real node"
ON_REAL_NODES = ("test_rolling", "test_canary", "test_bluegreen")
"""The journeys whose outcome depends on what pods do."""
APPS = 150
TO_CREATE = 30
TO_KEEP = 5  # and as many apps of two Services
OTHER_RULES: dict[str, dict[str, Any]] = {  # as many apps of each
    "quorum": {"approvals": {"promote": 2}},
    "brief": {"approvals": {"expires": "2s", "on_expiry": "abort"}},
    "gated": {"approvals": {"start": 1}},
    "asking": {"on_failure": "pause"},
    "judged": {
        "canary": {"steps": [50], "hold": "40s", "promote": "automatic"},
        "bluegreen": {"rollback_window": "60s", "promote": "automatic"},
        "probe": {"path": "/version", "requests": 40},
    },
    "answering": {
        "canary": {"steps": [50], "hold": "40s", "promote": "automatic"},
        "probe": {"path": "/version", "requests": 40},
        "watch_after": "2m",
    },
    "guarded": {
        "strategy": "canary",
        "strategies": ["canary"],
        "emergency": ["rolling"],
        "canary": {"steps": [50], "hold": "0s"},
        "access": {"deployer": {"users": [DEVELOPER]}},
        "approvals": {"promote": {"count": 2, "from": [OWNERS], "one_from_each": [APPROVERS]}},
    },
    "frozen": {},
    "watched": {"ready_within": "5s"},
    "strict": {
        "canary": {"steps": [50], "hold": "3s", "promote": "automatic"},
        "probe": {"path": "/version", "requests": 20},
        "judge": {"extend": "3s"},
    },
}
TOKEN = "a-token-of-the-journeys-and-of-nothing-else"
NOT_A_KEY = "no-key-at-all-but-nobody-may-ever-see-it"
_numbers = itertools.count(1)


@dataclass
class Journey:
    """One app: what people type about it and what they see."""

    app: str
    sandbox: Sandbox
    api: client.ApiClient  # an administrator's, which the bot's is not on the control plane
    control_plane: ControlPlane | None = None

    # --- people ---

    def say(self, text: str, *, user: str = DEVELOPER, channel: str = CHANNEL) -> str:
        """Types a line ({app} is this journey's app); returns the reply that the person saw at
        once."""
        answer = self.sandbox.slack.command(user, channel, text.format(app=self.app))
        return str(answer.get("text") or "")

    def click(self, label: str, *, user: str = MANAGER) -> dict[str, Any]:
        """Clicks the newest button of that label."""

        def attempt() -> dict[str, Any] | None:
            offer = self.with_button(label, user=user)
            answer = press(self.sandbox.slack, user, CHANNEL, offer) if offer else None
            return answer if answer and answer["ok"] else None  # else the card was redrawn

        return self.until(attempt, f"a click on `{label}` that Slack accepts")

    def reject(self, reason: str = "") -> None:
        """A manager clicks Reject and submits the form that asks why."""
        self.click("Reject", user=MANAGER)
        self.until(lambda: self.sandbox.slack.views(MANAGER), "the form that asks why")
        given = {"reason": {"reject_reason": reason}} if reason else None
        self.sandbox.slack.submit(MANAGER, given)

    def with_button(self, label: str, *, user: str = DEVELOPER) -> Offer | None:
        """The newest message about the app, as this person sees it, that has the button."""
        return newest_offer(self.messages(user), label)

    def messages(self, user: str = DEVELOPER) -> list[dict[str, Any]]:
        """Messages that name this journey's app, oldest first."""
        word = re.compile(rf"\b{re.escape(self.app)}\b")
        return [
            m
            for m in self.sandbox.slack.messages(CHANNEL, user, about=self.app)
            if word.search(m.get("text", ""))
        ]

    def sees(self, pattern: str, *, user: str = DEVELOPER, within: float = WITHIN_S) -> str:
        """Waits for a message about the app that holds the pattern ({app} is the app)."""
        wanted = re.compile(pattern.replace("{app}", self.app), re.DOTALL)

        def look() -> str | None:
            return next(
                (m["text"] for m in reversed(self.messages(user)) if wanted.search(m["text"])), None
            )

        return self.until(look, f"a message with `{wanted.pattern}`", within)

    def until(self, look: Callable[[], Seen | None], what: str, within: float = WITHIN_S) -> Seen:
        is_real = isinstance(self.control_plane, RealNodes)
        within = max(within, WITH_REAL_PODS_S) if is_real else within
        ends = time.monotonic() + within
        pause_s = 0.01
        while True:
            self._refill()
            found = look()
            if found:
                return found
            if time.monotonic() > ends:
                seen = "\n---\n".join(m["text"] for m in self.messages()[-6:])
                logs = "\n".join(
                    part.log.read_text(encoding="utf-8", errors="replace")[-1500:]
                    for part in self.sandbox.parts
                )
                raise AssertionError(
                    f"not seen within {within:.0f} s: {what}\nlast messages:\n{seen}\nlogs:\n{logs}"
                )
            time.sleep(pause_s)
            pause_s = min(1.3 * pause_s, 0.06)  # a poll costs a request or more

    def file_of(self, user: str, name: str) -> str:
        """The newest file of this name in the person's direct messages with the bot, "" if there is
        none."""
        direct = self.sandbox.slack.messages(f"D{user[1:]}", user)
        found = [
            file for message in direct for file in message.get("files", ()) if file["name"] == name
        ]
        if not found:
            return ""
        with urllib.request.urlopen(
            self.sandbox.url + found[-1]["url_private"], timeout=10
        ) as answer:
            return str(answer.read().decode())

    @functools.cached_property
    def _store(self) -> Redis:
        return connect(self.sandbox.redis.url)

    def _refill(self) -> None:
        """Slack's limits are off here, so the bot's budgets for them must be too: else all journeys
        would share one post a second."""
        with contextlib.suppress(RedisError):  # some journeys take Redis away
            self._store.delete(
                *(f"{PREFIX}budget:{budget.name}" for budget in (EDITS, posts_in(CHANNEL)))
            )

    def has_release_running(self) -> bool:
        """Until its record is final, which comes after its last write."""
        return bool(self._store.exists(f"{PREFIX}active:{self.app}"))

    def forget_people(self, *, last_known: bool = False) -> None:
        """What workers know of people for some seconds is out of date. ``last_known``: so is what
        they would fall back on for a day."""
        known = ["members of the catalog's groups", *(f"kind of {user}" for user in PEOPLE)]
        known += [f"last kind of {user}" for user in PEOPLE if last_known]
        self._store.delete(*(f"{PREFIX}passing:{key}" for key in known))

    # --- the cluster ---

    @property
    def deployments(self) -> client.AppsV1Api:
        return client.AppsV1Api(self.api)

    @property
    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(self.api)

    def deployment(self, name: str = "") -> Any:
        return self.deployments.read_namespaced_deployment(name or self.app, "default")

    def exists(self, name: str) -> bool:
        return any(
            d.metadata.name == name
            for d in self.deployments.list_namespaced_deployment("default").items
        )

    def service(self) -> Any:
        return self.core.read_namespaced_service(self.app, "default")

    def versions(self) -> dict[str, int]:
        """Pods of the app by version, without those that are ending."""
        counts: dict[str, int] = {}
        pods: list[Any] = self.core.list_namespaced_pod("default").items
        for pod in pods:
            image = pod.spec.containers[0].image
            if (
                image.startswith(f"pilothouse/{self.app}:")
                and pod.metadata.deletion_timestamp is None
            ):
                version = image.rpartition(":")[2]
                counts[version] = counts.get(version, 0) + 1
        return counts

    def pod_names(self) -> set[str]:
        """Pods that are not ending."""
        pods: list[Any] = self.core.list_namespaced_pod(
            "default", label_selector=f"app={self.app}"
        ).items
        return {pod.metadata.name for pod in pods if pod.metadata.deletion_timestamp is None}

    def as_found(self) -> tuple[Any, Any]:
        """What must be equal after an abort or a rollback: spec, labels and foreign annotations of
        Deployment and Service."""
        return _facts(self.deployment()), _facts(self.service())

    def untouched(self) -> bool:
        """Whether the bot never wrote to this app's objects."""
        items = (self.deployment(), self.service())
        managers = {entry.manager for item in items for entry in item.metadata.managed_fields or ()}
        return not any(name.startswith("pilothouse") for name in managers)

    def writes(self) -> list[dict[str, Any]]:
        """The bot's own writes to this app's objects, as the cluster recorded them: verb, resource,
        name."""
        every: list[dict[str, Any]]
        if self.control_plane is not None:
            every = [vars(one) for one in requests_in(self.control_plane.audit) if one.has_written]
        else:
            with urllib.request.urlopen(
                f"{self.api.configuration.host}/_sandbox/history", timeout=10
            ) as answer:
                every = json.load(answer)
        return [
            one
            for one in every
            if "pilothouse" in one["agent"] and self._is_of_this_app(one["name"])
        ]

    def _is_of_this_app(self, name: str) -> bool:
        return re.match(rf"{re.escape(self.app)}(-|$)", name) is not None


def _facts(item: Any) -> dict[str, Any]:
    body: dict[str, Any] = item.to_dict()
    notes = {
        key: value
        for key, value in (body["metadata"]["annotations"] or {}).items()
        if not key.startswith(("pilothouse.dev/", "deployment.kubernetes.io/revision"))
    }
    return {"spec": body["spec"], "labels": body["metadata"]["labels"], "annotations": notes}


def objects_of(app: str, replicas: int) -> list[dict[str, Any]]:
    template = (DEMO / "manifests" / "hello.yaml").read_text(encoding="utf-8").replace("hello", app)
    deployment, service = yaml.safe_load_all(template)
    deployment["spec"]["replicas"] = replicas
    return [deployment, service]


def _plain_apps(hello: Entry, *, probed: bool) -> dict[str, Entry]:
    """``probed``: pods of the simulated cluster answer; those of a KWOK node do not."""
    short = {
        "canary": {"steps": [20, 50], "hold": "1s"},
        "bluegreen": {"rollback_window": "30s"},
        "manifests": [],
        "links": {"diff": "https://git.example.com/{app}/compare/{from}...{to}"},
    }
    apps = {}
    for number in range(1, APPS + 1):
        name = f"app{number}"
        apps[name] = {**hello, "images": [f"pilothouse/{name}"], **short}
        if not probed:
            del apps[name]["probe"]
    return apps


def _pairs(hello: Entry) -> dict[str, Entry]:
    """Apps that keep both Deployments, and apps of two Services."""
    plain = {**hello, "probe": None, "manifests": []}
    window = {"rollback_window": "30s"}
    apps = {}
    for number in range(1, TO_KEEP + 1):
        kept, two = f"kept{number}", f"two{number}"
        keeps = {**window, "promote": "automatic", "settle": "keep"}
        apps[kept] = {**plain, "images": [f"pilothouse/{kept}"], "bluegreen": keeps}
        apps[two] = {
            **plain,
            "images": [f"pilothouse/{two}"],
            "bluegreen": {**window, "preview": True},
            "services": [two, f"{two}-internal"],
        }
    return apps


def _ruled_apps(hello: Entry) -> dict[str, Entry]:
    return {
        f"{kind}{number}": {
            **hello,
            "images": [f"pilothouse/{kind}{number}"],
            "probe": None,
            "manifests": [],
            **rules,
        }
        for kind, rules in OTHER_RULES.items()
        for number in range(1, TO_KEEP + 1)
    }


def _windows() -> Iterator[Entry]:
    """Two a day for each app that is always frozen: one alone may not last for ever."""
    for number in range(1, TO_KEEP + 1):
        for hour in (0, 12):
            yield {
                "scope": f"frozen{number}",
                "rule": f"FREQ=DAILY;BYHOUR={hour}",
                "for": "23h",
                "timezone": "Europe/Berlin",
                "reason": "month end",
                "override": "two",
            }


def _apps_to_create(hello: Entry) -> dict[str, Entry]:
    apps = {}
    for number in range(1, TO_CREATE + 1):
        name = f"made{number}"
        apps[name] = {
            **hello,
            "images": [f"pilothouse/{name}"],
            "manifests": [f"apply/{name}.yaml"],
            "files": {
                "secrets": {f"{name}-tls": "apply/tls"},
                "configmaps": {f"{name}-conf": ["apply/proxy.conf"]},
            },
        }
    return apps


def _write_manifests(demo: Path) -> None:
    """The manifests of the apps that `/apply` creates."""
    (demo / "apply" / "tls").mkdir(parents=True)
    (demo / "apply" / "tls" / "key.pem").write_text(NOT_A_KEY, encoding="utf-8")
    (demo / "apply" / "proxy.conf").write_text("listen 80;\n", encoding="utf-8")
    for number in range(1, TO_CREATE + 1):
        name = f"made{number}"
        text = yaml.safe_dump_all(objects_of(name, 2))
        (demo / "apply" / f"{name}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(
    scope="session",
    params=[
        "simulated",
        pytest.param("control plane", marks=pytest.mark.control_plane),
        pytest.param(REAL_NODE, marks=(pytest.mark.real_node, pytest.mark.slow)),
    ],
)
def running(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Sandbox]:
    """A sandbox on the simulated cluster, one on the real control plane and one on the real nodes;
    each test takes the next app of its catalog.

    Slack's rate limits are off: they have tests of their own.
    """
    demo = Path(shutil.copytree(DEMO, tmp_path_factory.mktemp("journeys") / "demo"))
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    hello = catalog["apps"]["hello"]
    plain = _plain_apps(hello, probed=request.param != "control plane")
    catalog["apps"] |= {**plain, **_pairs(hello), **_ruled_apps(hello), **_apps_to_create(hello)}
    catalog["access"]["roles"]["approver"]["groups"] = [APPROVERS]
    catalog["api"] = {"port": free_port(), "tokens": [_token(demo, list(catalog["apps"]))]}
    catalog["freezes"] = list(_windows())
    if request.param == "simulated":
        catalog["watch"] = _watched(demo)
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    _write_manifests(demo)
    bots = {"control plane": "bot_kubeconfig", REAL_NODE: "real_node_bot"}
    fixture = bots.get(request.param)
    kubeconfig: Path | None = request.getfixturevalue(fixture) if fixture else None
    with run_sandbox(
        demo=demo, ready_after=0.2, rate_scale=0, kubeconfig=kubeconfig, launch=spawner().spawn
    ) as sandbox:
        yield sandbox
        assert denials(sandbox.redis.url) == []


def _watched(demo: Path) -> Entry:
    """A Deployment without a catalog entry, in a namespace that a pattern means."""
    deployment, _ = objects_of("unlisted", 2)
    deployment["metadata"]["namespace"] = WATCHED
    (demo / "manifests" / "unlisted.yaml").write_text(yaml.safe_dump(deployment), encoding="utf-8")
    return {"namespaces": ["watched-*"], "channel": CHANNEL}


def _token(demo: Path, apps: list[str]) -> Entry:
    (demo / "ci-token").write_text(f"{TOKEN}\n", encoding="utf-8")
    return {"name": "ci", "file": "ci-token", "apps": apps, "may": "start"}


@dataclass
class Ground:
    """Where a journey takes place."""

    sandbox: Sandbox
    api: client.ApiClient
    kubeconfig: Path
    control_plane: ControlPlane | None

    def journey(self, app: str) -> Journey:
        return Journey(app, self.sandbox, self.api, self.control_plane)

    def running(self, app: str, replicas: int) -> Journey:
        """An app of the catalog, created with its Service, once its pods are ready."""
        journey = self.journey(app)
        deployment, service = objects_of(app, replicas)
        if isinstance(self.control_plane, RealNodes):
            pod = deployment["spec"]["template"]["spec"]
            pod["containers"][0]["readinessProbe"]["periodSeconds"] = 1
        journey.deployments.create_namespaced_deployment("default", deployment)
        journey.core.create_namespaced_service("default", service)
        journey.until(
            lambda: (journey.deployment().status.available_replicas or 0) == replicas,
            f"{replicas} pods of {app}",
        )
        return journey


@pytest.fixture
def ground(running: Sandbox, request: pytest.FixtureRequest) -> Iterator[Ground]:
    """With an administrator's client: on the control plane the bot itself has only what its chart
    grants."""
    clusters = {"control plane": "control_plane", REAL_NODE: "real_nodes"}
    fixture = clusters.get(_kind_of(request))
    control_plane: ControlPlane | None = request.getfixturevalue(fixture) if fixture else None
    kubeconfig = control_plane.kubeconfig if control_plane else running.kubeconfig
    with contextlib.closing(config.new_client_from_config(str(kubeconfig))) as api:
        yield Ground(running, api, kubeconfig, control_plane)
        if isinstance(control_plane, RealNodes):  # a node has room for 110 pods
            for kind in ("deployments", "services"):
                names = control_plane.kubectl("get", kind, "--output=name").split()
                if others := [name for name in names if name != "service/kubernetes"]:
                    control_plane.kubectl("delete", *others, "--wait=false")


def _kind_of(request: pytest.FixtureRequest) -> str:
    """The kind of cluster that the test runs on."""
    callspec = getattr(request.node, "callspec", None)
    return str(callspec.params.get("running", "")) if callspec is not None else ""


def is_real(request: pytest.FixtureRequest) -> bool:
    """Whether the test runs on the real Kubernetes."""
    return _kind_of(request) in ("control plane", REAL_NODE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [one for one in items if _is_for_other_clusters(one)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [one for one in items if not _is_for_other_clusters(one)]


def _is_for_other_clusters(item: pytest.Item) -> bool:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return parameters.get("running") == REAL_NODE and item.path.stem not in ON_REAL_NODES


@pytest.fixture
def only_simulated(request: pytest.FixtureRequest) -> None:
    """For what only the simulated cluster has, with its reason:
    `pytest.mark.usefixtures("only_simulated")  # why`."""
    if is_real(request):
        pytest.skip("shown on the simulated cluster only")


@pytest.fixture
def journey(ground: Ground, request: pytest.FixtureRequest) -> Journey:
    """An app of its own with 5 pods ready (``@pytest.mark.parametrize("journey", [3],
    indirect=True)`` for another number)."""
    return ground.running(f"app{next(_numbers)}", getattr(request, "param", 5))
