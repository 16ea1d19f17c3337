from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "helm" / "pilothouse"
CATALOG = {
    "clusters": {"production": {"in_cluster": True}},
    "defaults": {"channel": "C0RELEASES"},
    "apps": {"hello": {"namespace": "shop", "manifests": ["manifests/hello.yaml"]}},
    "access": {
        "channels": ["C0RELEASES"],
        "roles": {"viewer": {"everyone": True}, "deployer": {"groups": ["S0DEV"]}},
    },
}
FILES = {"manifests/hello.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: hello}\n"}
Rendered = list[dict[str, Any]]
Render = Callable[..., Rendered]


class HelmRefused(Exception):
    """Helm's own words."""


@pytest.fixture(scope="session")
def helm(control_plane_binaries: Path) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [control_plane_binaries / "helm", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise HelmRefused(done.stdout + done.stderr)
        return done.stdout

    return run


@pytest.fixture
def values_file(tmp_path: Path) -> Callable[[dict[str, Any]], str]:
    """A values file with a catalog, and what the test sets on top of it."""

    def write(values: dict[str, Any]) -> str:
        path = tmp_path / "values.json"
        path.write_text(json.dumps({"catalog": CATALOG, "files": FILES, **values}))
        return str(path)

    return write


@pytest.fixture
def render(helm: Callable[..., str], values_file: Callable[[dict[str, Any]], str]) -> Render:
    def rendered(**values: Any) -> Rendered:
        # `helm template` looks nothing up, so the chart makes no passwords.
        values["redis"] = {"existingSecret": "redis-users", **values.get("redis", {})}
        text = helm(
            "template",
            "pilothouse",
            str(CHART),
            "--namespace",
            "deploy",
            "--values",
            values_file(values),
        )
        return [document for document in yaml.safe_load_all(text) if document]

    return rendered


def of_kind(rendered: Rendered, kind: str, name: str = "") -> list[dict[str, Any]]:
    return [
        one for one in rendered if one["kind"] == kind and one["metadata"]["name"].endswith(name)
    ]


def only(rendered: Rendered, kind: str, name: str = "") -> dict[str, Any]:
    (found,) = of_kind(rendered, kind, name)
    return found


def pods(rendered: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    kinds = ("Deployment", "StatefulSet")
    return {
        one["metadata"]["name"]: one["spec"]["template"]
        for kind in kinds
        for one in of_kind(rendered, kind)
    }


def environment(pod: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}


def relocated(
    pod: dict[str, Any], folder: Path, *, redis_url: str = "", password: str = ""
) -> dict[str, str]:
    """The pod's environment, with each mounted file that it names written below ``folder``.
    ``redis_url`` is what the Secret of one's own Redis holds, ``password`` that of the user at the
    bundled one."""
    contents = {
        "bot-token": "xoxb-1",
        "app-token": "xapp-1",
        "signing-secret": "secret",
        "url": redis_url,
        "password": password,
    }
    mounts = {one["mountPath"]: one["name"] for one in pod["spec"]["containers"][0]["volumeMounts"]}
    found = environment(pod)
    for name, path in found.items():
        if name.endswith("_FILE"):
            (items,) = [
                volume["secret"]["items"]
                for volume in pod["spec"]["volumes"]
                if volume["name"] == mounts[str(Path(path).parent)]
            ]
            assert Path(path).name in {item["path"] for item in items}, (
                f"{name} names a file that is not mounted"
            )
            file = folder / Path(path).name
            file.write_text(contents[file.name])
            found[name] = str(file)
    return found
