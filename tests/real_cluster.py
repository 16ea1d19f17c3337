"""Fixtures for tests that need the real control plane or the real nodes: one for each test process,
a namespace for each test of the control plane.

Where it is not built the test is skipped and says what to run; in CI (CI=true) it fails instead.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.control_plane import BinariesMissing, ControlPlane, ControlPlaneFailed, built_binaries
from sandbox.images import Images
from sandbox.real_node import MachineUnfit, RealNodes
from tests.conftest import eventually

CHART = Path(__file__).resolve().parents[1] / "helm" / "pilothouse"
BOT_NAMESPACE = "pilothouse"


@pytest.fixture(scope="session")
def control_plane_binaries() -> Path:
    """The folder with kube-apiserver, kubectl, helm and the others."""
    try:
        return built_binaries()
    except BinariesMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def control_plane(control_plane_binaries: Path) -> Iterator[ControlPlane]:
    with ControlPlane() as cluster:
        yield cluster


def bot_credentials(cluster: ControlPlane, apps_in: str = "default") -> Path:
    """A kubeconfig that may do what the chart allows the bot in the apps' namespace, and nothing
    else.

    The service account and its roles are the chart's own, rendered by helm: a verb that the chart
    forgot fails the test that needs it.
    """
    rendered = cluster.helm(
        "template",
        "pilothouse",
        str(CHART),
        "--namespace",
        BOT_NAMESPACE,
        "--show-only",
        "templates/rbac.yaml",
        "--set",
        f"rbac.namespaces={{{apps_in}}},rbac.apply={{configmaps,secrets}}",
        "--set",
        "existingCatalogConfigMap=catalog,redis.existingSecret=redis-passwords",
    )
    cluster.kubectl("create", "namespace", BOT_NAMESPACE)
    cluster.kubectl("apply", "--filename", "-", stdin=rendered)
    kubeconfig = cluster.kubeconfig_for("pilothouse", BOT_NAMESPACE)
    asked = (f"--kubeconfig={kubeconfig}", "auth", "can-i", "--namespace", apps_in)
    assert eventually(lambda: _may(cluster, *asked, "patch", "deployments")), (
        "the role takes effect within moments"
    )
    assert not _may(cluster, *asked, "delete", "pods"), "and it is not an administrator's"
    return kubeconfig


def _may(cluster: ControlPlane, *question: str) -> bool:
    try:
        return cluster.kubectl(*question).strip() == "yes"
    except ControlPlaneFailed:  # kubectl's word for no
        return False


@pytest.fixture(scope="session")
def real_nodes() -> Iterator[RealNodes]:
    """Two nodes that run pods, for the whole session. Where they cannot run the tests are skipped
    with the reason; in CI (CI=true) they fail."""
    layout = Images().layout
    with contextlib.ExitStack() as opened:
        try:
            cluster = opened.enter_context(RealNodes(images=layout if layout.exists() else None))
        except (BinariesMissing, MachineUnfit) as reason:
            if os.environ.get("CI") == "true":
                pytest.fail(str(reason), pytrace=False)
            pytest.skip(f"a real node cannot run here: {reason}")
        yield cluster


@pytest.fixture(scope="session")
def real_node_bot(real_nodes: RealNodes) -> Path:
    """The bot's credentials on the real nodes."""
    return bot_credentials(real_nodes)


@pytest.fixture(scope="session")
def bot_kubeconfig(control_plane: ControlPlane) -> Path:
    """The bot's credentials on the control plane of this test process."""
    return bot_credentials(control_plane)


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new one; its objects go with it while the next test already runs."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
