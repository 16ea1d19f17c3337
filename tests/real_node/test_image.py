"""The image of the Dockerfile: what it is labelled with, and that nothing it needs was cut."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.images import BASE_PYTHON, Images
from sandbox.images.build import version
from sandbox.real_node import RealNodes
from sandbox.real_node.registry import Layout
from tests.real_node.installation import RELEASE, Installation

pytestmark = [pytest.mark.real_node, pytest.mark.usefixtures("images")]

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"
MEGABYTE = 1_000_000
WORKER = f"deployment/{RELEASE}-worker"
IMPORTS_EVERYTHING = """
import importlib, pkgutil, sys
import bot, config, jobs
for package in (bot, config, jobs):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        # Traces are an extra, which the image does not have.
        if not module.name.endswith("__main__") and module.name != "bot.otel":
            importlib.import_module(module.name)
import json, platform
from importlib.metadata import distributions
bom = json.load(open("/opt/pilothouse/sbom.cdx.json"))
listed = {(one["name"], one["version"]) for one in bom["components"]}
for one in distributions():
    name = one.metadata["Name"].lower().replace("_", "-").replace(".", "-")
    assert name == "pilothouse" or (name, one.version) in listed, name
assert ("python", platform.python_version()) in listed
assert any(one["purl"].startswith("pkg:deb/") for one in bom["components"])
import kubernetes.config
kubernetes.config.load_kube_config_from_dict, kubernetes.config.load_incluster_config
open("/tmp/a", "w").close()
try:
    open("/opt/pilothouse/a", "w")
except OSError as refused:
    print(sys.version.split()[0], refused.strerror)
"""


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(Images().layout)


@pytest.fixture(scope="module")
def manifest(layout: Layout) -> dict[str, Any]:
    digest = layout.digest(Images().pilothouse)
    assert digest is not None
    return _read(layout, digest)


@pytest.fixture(scope="module")
def image(layout: Layout, manifest: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = _read(layout, manifest["config"]["digest"])["config"]
    return config


def _read(layout: Layout, digest: str) -> dict[str, Any]:
    blob = layout.blob(digest)
    assert blob is not None
    found: dict[str, Any] = json.loads(blob)
    return found


def test_the_image_is_labelled_with_what_it_was_built_from(image: dict[str, Any]) -> None:
    labels = image["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[prefix + "version"] == version()
    assert len(labels[prefix + "revision"].removesuffix("-dirty")) == 40
    assert labels[prefix + "base.name"] == "localhost/pilothouse-base:trixie"
    assert labels[prefix + "licenses"] == "Apache-2.0"
    assert labels["pilothouse.python"] == BASE_PYTHON


def test_the_python_that_was_run_here_is_the_default_of_the_dockerfile() -> None:
    assert f"ARG PYTHON_VERSION={BASE_PYTHON}\n" in DOCKERFILE.read_text()


def test_the_layers_of_pilothouse_are_small(manifest: dict[str, Any]) -> None:
    _base, *own = manifest["layers"]
    assert sum(layer["size"] for layer in own) < 40 * MEGABYTE


@pytest.fixture
def pod(real_nodes: RealNodes) -> Iterator[str]:
    """As the chart's user, with a read-only root file system."""
    container = {
        "name": "pilothouse",
        "image": Images().pilothouse,
        "command": ["python", "-c", IMPORTS_EVERYTHING],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "imports"},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001},
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
    real_nodes.kubectl("apply", "--filename=-", stdin=json.dumps(body))
    yield "pod/imports"
    real_nodes.kubectl("delete", "pod/imports", "--wait=false")


def test_everything_that_pilothouse_imports_is_in_the_image(
    real_nodes: RealNodes, pod: str
) -> None:
    ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated}"
    real_nodes.kubectl("wait", pod, ended, "--timeout=110s")
    said = real_nodes.kubectl("logs", pod)
    assert said.startswith(f"{BASE_PYTHON}.") and "Read-only file system" in said, said


def test_the_watcher_runs_in_a_container_of_its_own(real_nodes: RealNodes, tmp_path: Path) -> None:
    """The chart runs it inside the worker; here with the worker's environment and files."""
    with Installation(real_nodes, tmp_path, "shop") as installation:
        installation.install()
        worker = json.loads(installation.kubectl("get", WORKER, "--output=json"))
        template = worker["spec"]["template"]
        container = {**template["spec"]["containers"][0], "name": "watcher", "args": ["watcher"]}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "watcher", "labels": template["metadata"]["labels"]},
            "spec": {**template["spec"], "containers": [container]},
        }
        installation.apply(pod)
        installation.kubectl("wait", "pod/watcher", "--for=condition=Ready", "--timeout=110s")
        address = installation.kubectl("get", "pod/watcher", "--output=jsonpath={.status.podIP}")
        asked = real_nodes.in_network("curl", "--silent", f"http://{address}:9090/metrics")
        metrics = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=30)
        assert 'pilothouse_process_up{process="watcher"} 1' in metrics.stdout
        assert 'process="ticker"' not in metrics.stdout
        restarts = "--output=jsonpath={.status.containerStatuses[0].restartCount}"
        assert installation.kubectl("get", "pod/watcher", restarts) == "0"
