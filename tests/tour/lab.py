"""The well-known lab on orchestrating Deployments, in its order: auth, hello and a frontend that
serves HTTPS; everything from the channel.

The lab's own manifests are used where they lie beside the checkout; elsewhere the sandbox's demo
apps stand in for them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import ssl
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import yaml
from kubernetes import client

from tests.tour.conversation import DEVELOPER, MANAGER, VIEWER, Tour

CHECKOUT = Path(__file__).parents[2]
LAB = CHECKOUT.parent / "shared" / "lab"
DEMO = CHECKOUT / "sandbox" / "demo"
REQUESTS = 200
CLIENTS = (
    20  # half of them on each version: that all meet the same one happens once in 500,000 times
)
URL = "sandbox.pilothouse.dev/url"
NGINX = """\
upstream hello { server hello.default.svc.cluster.local; }
upstream auth { server auth.default.svc.cluster.local; }
server {
    listen 443 ssl;
    location / { proxy_pass http://hello; }
    location /login { proxy_pass http://auth; }
}
"""
NOT_A_KEY = "this-is-no-key-but-nobody-may-see-it"


@contextlib.contextmanager
def sandbox() -> Iterator[tuple[str, ...]]:
    """A folder whose apps are not yet in the cluster: the catalog names files outside `manifests`,
    which is seeded."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-lab-") as made:
        folder = Path(made)
        (folder / "lab").mkdir()
        apps = _real_apps(folder / "lab") if LAB.is_dir() else _demo_apps(folder / "lab")
        catalog = yaml.safe_load((DEMO / "catalog.yaml").read_text(encoding="utf-8"))
        catalog["apps"] = {
            name: {
                "cluster": "local",
                "images": [f"kelseyhightower/{name}", f"pilothouse/{name}", "nginx"],
                "scale": {"min": 1, "max": 20},
                **entry,
            }
            for name, entry in apps.items()
        }
        catalog["apps"]["hello"] |= {
            "canary": {"steps": [25], "hold": "1s"},
            "bluegreen": {"rollback_window": "10m"},
            "probe": {"path": "/version", "requests": 20},
        }
        (folder / "catalog.yaml").write_text(
            yaml.safe_dump(catalog, sort_keys=False), encoding="utf-8"
        )
        yield ("--demo", str(folder))


def _real_apps(to: Path) -> dict[str, dict[str, Any]]:
    shutil.copytree(LAB, to, dirs_exist_ok=True)
    frontend = [
        "nginx/frontend-configmap.yaml",
        "tls/tls-certs-secret.yaml",
        "deployments/frontend.yaml",
        "services/frontend.yaml",
    ]
    return {
        "auth": {"manifests": ["lab/deployments/auth.yaml", "lab/services/auth.yaml"]},
        "hello": {"manifests": ["lab/deployments/hello.yaml", "lab/services/hello.yaml"]},
        "frontend": {"manifests": [f"lab/{name}" for name in frontend]},
    }


def _demo_apps(to: Path) -> dict[str, dict[str, Any]]:
    for name in ("auth", "hello", "frontend"):
        items = list(
            yaml.safe_load_all((DEMO / "manifests" / f"{name}.yaml").read_text(encoding="utf-8"))
        )
        if name == "hello":
            items[0]["spec"]["replicas"] = 3
        if name == "frontend":
            pod = items[0]["spec"]["template"]["spec"]
            pod["containers"][0] |= {
                "image": "nginx:1.29",
                "volumeMounts": [{"name": "conf", "mountPath": "/etc/nginx/conf.d"}],
            }
            pod["volumes"] = [
                {"name": "conf", "configMap": {"name": "nginx-frontend-conf"}},
                {"name": "tls", "secret": {"secretName": "tls-certs"}},
            ]
        (to / f"{name}.yaml").write_text(yaml.safe_dump_all(items), encoding="utf-8")
    (to / "tls").mkdir()
    (to / "tls" / "key.pem").write_text(NOT_A_KEY, encoding="utf-8")
    (to / "frontend.conf").write_text(NGINX, encoding="utf-8")
    files = {
        "secrets": {"tls-certs": "lab/tls/"},
        "configmaps": {"nginx-frontend-conf": ["lab/frontend.conf"]},
    }
    return {
        "auth": {"manifests": ["lab/auth.yaml"]},
        "hello": {"manifests": ["lab/hello.yaml"]},
        "frontend": {"manifests": ["lab/frontend.yaml"], "files": files},
    }


class Frontend(Protocol):
    """The way of the lab's clients to its frontend. ``is_real``: a pod of nginx behind the proxies
    of nodes, which follow a change a moment later."""

    address: str  # how its external address begins, as a regular expression
    is_real: bool

    def is_reachable(self, tour: Tour) -> bool: ...

    def ask(self, path: str, client: int = 0) -> Any:
        """One request by a new connection of that client; its reply, or what failed."""


def tell(tour: Tour, frontend: Frontend | None = None) -> None:
    frontend = SimulatedFrontend() if frontend is None else frontend
    _explain(tour)
    _create(tour, frontend)
    _scale(tour)
    _roll(tour, frontend)
    _pause_and_resume(tour)
    _undo(tour)
    _canary(tour, frontend)
    _blue_green(tour, frontend)


# --- inspect and create ---------------------------------------------------------------------------


def _explain(tour: Tour) -> None:
    tour.say(VIEWER, "/explain deployment")
    tour.expect(r"KIND:\s+Deployment", user=VIEWER)
    tour.say(VIEWER, "/explain deployment --recursive")
    tour.expect(r"Deployment.*(recursive|revisionHistoryLimit)", user=VIEWER)
    tour.say(VIEWER, "/explain deployment.metadata.name")
    tour.expect(r"FIELD:\s+name", user=VIEWER)


def _create(tour: Tour, frontend: Frontend) -> None:
    for app in ("auth", "hello", "frontend"):
        tour.say(DEVELOPER, f"/apply {app}")
        diff = tour.expect(rf"Apply the manifests of {app}\?")
        tour.check(
            "the diff shows nothing of a Secret",
            holds=not any(secret in diff for secret in _secrets()),
        )
        tour.click(DEVELOPER, "Apply")
        tour.expect(rf"{app} applied by developer: .*Deployment {app} created", within=10)
        tour.until(partial(_available, tour, app), f"pods of {app}")
    everything = "\n".join(
        str(message) for user in (DEVELOPER, MANAGER, VIEWER) for message in tour.messages(user)
    )
    tour.check(
        "no message shows the values of a Secret",
        holds=not any(secret in everything for secret in _secrets()),
    )
    tour.say(DEVELOPER, "/apply hello")
    tour.expect(r"hello is as its manifests say: nothing to apply")

    tour.until(lambda: frontend.is_reachable(tour), "an external address of the frontend")
    for kind, seen in {
        "deployments": r"UP-TO-DATE.*hello\s+3/3",
        "replicasets": r"DESIRED.*hello-[a-z0-9]+\s+3",
        "pods": r"hello-[a-z0-9]+-[a-z0-9]+\s+1/1\s+Running",
        "services": rf"frontend\s+LoadBalancer\s+\S+\s+{frontend.address}",
    }.items():
        tour.say(VIEWER, f"/get {kind}")
        tour.expect(seen, user=VIEWER)
    tour.check(
        "the frontend answers Hello over HTTPS",
        holds=frontend.ask("/") == {"message": "Hello"},
        but=str(frontend.ask("/")),
    )


def _scale(tour: Tour) -> None:
    tour.say(VIEWER, "/explain deployment.spec.replicas")
    tour.expect(r"FIELD:\s+replicas", user=VIEWER)
    for number in (5, 3):
        tour.say(DEVELOPER, f"/scale hello {number}")
        tour.expect(rf"hello has {number} pods")
        tour.until(partial(_has_pods, tour, number), f"{number} pods of hello")
    began = tour.now()
    tour.say(DEVELOPER, "/apply hello")
    tour.expect(r"hello is as its manifests say: nothing to apply", after=began)


# --- to roll --------------------------------------------------------------------------------------


def _roll(tour: Tour, frontend: Frontend) -> None:
    tour.say(DEVELOPER, "/deploy hello 2.0.0")
    tour.expect(r"hello is on 2\.0\.0", within=40)
    tour.check(
        "every pod runs 2.0.0",
        holds=_versions_of_pods(tour) == {"2.0.0": 3},
        but=str(_versions_of_pods(tour)),
    )
    tour.say(VIEWER, "/get replicasets hello")
    tour.expect(r"hello-[a-z0-9]+.*\n.*hello-[a-z0-9]+", user=VIEWER)
    tour.say(DEVELOPER, "/rollout history hello")
    history = tour.expect(r"hello: revisions of deployment")
    tour.check(
        "the history names the version and who deployed it",
        holds="2.0.0" in history and "2 (current)" in history,
        but=history,
    )
    _reach_alone(tour, frontend, "2.0.0", "the frontend now reaches 2.0.0 alone", requests=20)
    tour.say(DEVELOPER, "/rollout undo hello")
    tour.expect(r"hello is on 1\.0\.0", within=40)


def _pause_and_resume(tour: Tour) -> None:
    began = tour.now()
    tour.say(DEVELOPER, "/deploy hello 2.0.0")
    tour.until(lambda: _versions_of_pods(tour).get("2.0.0"), "the first pod of 2.0.0")
    tour.say(DEVELOPER, "/rollout pause hello")
    tour.until(lambda: tour.deployment("hello").spec.paused, "the Deployment paused")
    tour.expect(r"hello 1\.0\.0 → 2\.0\.0 rolling.*paused")
    both = _versions_of_pods(tour)
    tour.check(
        "both versions run side by side", holds=set(both) == {"1.0.0", "2.0.0"}, but=str(both)
    )
    tour.say(DEVELOPER, "/rollout status hello")
    tour.expect(r"paused", after=began)
    tour.say(DEVELOPER, "/pods hello")
    pods = tour.expect(r"revision \d+ \(2\.0\.0\):.*revision \d+ \(1\.0\.0\):", after=began)
    tour.check("/pods shows both images", holds=":1.0.0" in pods and ":2.0.0" in pods, but=pods)
    tour.say(DEVELOPER, "/rollout resume hello")
    tour.expect(r"hello is on 2\.0\.0", within=40, after=began)
    tour.say(DEVELOPER, "/rollout status hello")
    tour.expect(r'deployment "hello" successfully rolled out', after=began)


def _undo(tour: Tour) -> None:
    began = tour.now()
    tour.say(DEVELOPER, "/rollout undo hello")
    tour.expect(r"hello is on 1\.0\.0", within=40, after=began)
    tour.say(DEVELOPER, "/rollout history hello")
    tour.expect(r"hello: revisions of deployment", after=began)
    tour.say(DEVELOPER, "/pods hello")
    tour.expect(r"revision \d+ \(1\.0\.0\): 3 pods", after=began)
    tour.check(
        "every pod runs 1.0.0 again",
        holds=_versions_of_pods(tour) == {"1.0.0": 3},
        but=str(_versions_of_pods(tour)),
    )


# --- canary and blue/green ------------------------------------------------------------------------


def _canary(tour: Tour, frontend: Frontend) -> None:
    began = tour.now()
    tour.say(DEVELOPER, "/deploy hello 2.0.0 canary steps=25 hold=1s")
    tour.expect(r"hello 1\.0\.0 → 2\.0\.0 canary.*waiting for approval", within=40, after=began)
    found = _versions(frontend, REQUESTS)
    # 3 stable pods and 1 canary pod: 50 of 200 requests, five standard deviations of sqrt(200 *
    # 0.25 * 0.75) around
    tour.check(
        f"of {REQUESTS} requests about a quarter reach 2.0.0: {dict(found)}",
        holds=20 <= found["2.0.0"] <= 80,
    )
    tour.say(DEVELOPER, "/traffic hello")
    tour.expect(r"hello: ready endpoints.*25%", after=began)
    tour.say(MANAGER, "/rollout abort hello")
    tour.expect(r"hello is back on 1\.0\.0, aborted", within=40, after=began)
    _reach_alone(tour, frontend, "1.0.0", "only 1.0.0 answers")

    began = tour.now()
    tour.say(DEVELOPER, "/deploy hello 2.0.0 canary steps=50 hold=1s sticky")
    tour.expect(r"hello 1\.0\.0 → 2\.0\.0 canary.*waiting for approval", within=40, after=began)
    people = [_versions(frontend, REQUESTS // CLIENTS, number) for number in range(CLIENTS)]
    met = Counter(version for seen in people for version in seen)
    if frontend.is_real:
        tour.check(
            f"a sticky canary keeps the one pod of the frontend on one version: {dict(met)}",
            holds=len(met) == 1,
            but=str(people),
        )
    else:
        tour.check(
            f"a sticky canary keeps each of {CLIENTS} clients on one of both versions: {dict(met)}",
            holds=all(len(seen) == 1 for seen in people) and set(met) == {"1.0.0", "2.0.0"},
            but=str(people),
        )
    tour.click(MANAGER, "Promote")
    tour.expect(r"hello is on 2\.0\.0", within=40, after=began)
    _reach_alone(tour, frontend, "2.0.0", "only 2.0.0 answers")
    tour.check(
        "the session affinity is as found",
        holds=_service(tour, "hello").spec.session_affinity == "None",
    )
    tour.say(DEVELOPER, "/rollout undo hello")
    tour.expect(r"hello is on 1\.0\.0", within=40, after=began)


def _blue_green(tour: Tour, frontend: Frontend) -> None:
    began = tour.now()
    tour.say(DEVELOPER, "/deploy hello 2.0.0 bluegreen")
    tour.expect(r"hello 1\.0\.0 → 2\.0\.0 blue/green.*waiting for approval", within=40, after=began)
    _reach_alone(tour, frontend, "1.0.0", "before the switch only 1.0.0 answers")
    tour.click(MANAGER, "Switch")
    tour.expect(r"blue/green.*rollback window open", within=40, after=began)
    _reach_alone(tour, frontend, "2.0.0", "after the switch only 2.0.0 answers")
    tour.click(DEVELOPER, "Roll back")
    tour.expect(r"hello is back on 1\.0\.0, rolled back", within=40, after=began)
    _reach_alone(tour, frontend, "1.0.0", "after the rollback only 1.0.0 answers")
    names = {
        item.metadata.name
        for item in client.AppsV1Api(tour.api()).list_namespaced_deployment("default").items
    }
    tour.check(
        "the candidate Deployments are gone",
        holds=names == {"auth", "frontend", "hello"},
        but=str(names),
    )


# --- observations ---------------------------------------------------------------------------------


def _service(tour: Tour, name: str) -> Any:
    return client.CoreV1Api(tour.api()).read_namespaced_service(name, "default")


def _available(tour: Tour, app: str) -> int:
    return int(tour.deployment(app).status.available_replicas or 0)


def _has_pods(tour: Tour, number: int) -> bool:
    return len(_pods(tour)) == number


def _pods(tour: Tour) -> list[Any]:
    pods: list[Any] = (
        client.CoreV1Api(tour.api())
        .list_namespaced_pod("default", label_selector="app=hello")
        .items
    )
    return [pod for pod in pods if pod.metadata.deletion_timestamp is None]


def _versions_of_pods(tour: Tour) -> dict[str, int]:
    return dict(Counter(pod.spec.containers[0].image.rpartition(":")[2] for pod in _pods(tour)))


def trusting() -> ssl.SSLContext:
    """As `curl -k` trusts: a certificate of the lab proves nothing."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def ask_over_https(host: str, port: int, path: str, source: str) -> Any:
    """One request by a new connection from a client's address."""
    connection = HTTPSConnection(
        host, port, timeout=10, context=trusting(), source_address=(source, 0)
    )
    try:
        connection.request("GET", path)
        return json.load(connection.getresponse())
    except (OSError, HTTPException, ValueError) as error:
        return {"error": str(error)}
    finally:
        connection.close()


class SimulatedFrontend:
    """The simulated cluster's load balancer listens on this machine, and passes clients'
    addresses on."""

    address, is_real = r"127\.", False

    def __init__(self) -> None:
        self._url = urlsplit("")

    def is_reachable(self, tour: Tour) -> bool:
        notes = _service(tour, "frontend").metadata.annotations or {}
        self._url = urlsplit(notes.get(URL, ""))
        return URL in notes

    def ask(self, path: str, client: int = 0) -> Any:
        host, port = self._url.hostname or "", self._url.port or 443
        return ask_over_https(host, port, path, f"127.0.0.{client + 1}")


def _reach_alone(
    tour: Tour, frontend: Frontend, version: str, what: str, requests: int = REQUESTS
) -> None:
    if frontend.is_real:
        tour.until(
            lambda: _versions(frontend, 20) == {version: 20}, f"proxies that send to {version} only"
        )
    found = _versions(frontend, requests)
    tour.check(what, holds=found == {version: requests}, but=str(dict(found)))


def _versions(frontend: Frontend, requests: int, client: int = 0) -> Counter[str]:
    """The lab's loop of `curl …/version`: how often each version answered."""
    return Counter(
        str(frontend.ask("/version", client).get("version", "none")) for _ in range(requests)
    )


def _secrets() -> tuple[str, ...]:
    if not LAB.is_dir():
        return (NOT_A_KEY,)
    secret = yaml.safe_load((LAB / "tls" / "tls-certs-secret.yaml").read_text(encoding="utf-8"))
    return (*secret.get("data", {}).values(), *secret.get("stringData", {}).values())
