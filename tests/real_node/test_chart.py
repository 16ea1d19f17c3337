"""The chart on real nodes: what helm installs there releases an app."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes import config

from bot.setup.init import main as init
from bot.setup.report import VALUES
from sandbox.control_plane import ControlPlaneFailed
from sandbox.main import Sandbox
from sandbox.real_node import RealNodes
from tests.conftest import eventually
from tests.journeys.conftest import ADMIN, CHANNEL, DEVELOPER, MANAGER, Journey
from tests.real_node.conftest import RealJourney, Seen, delete_objects_of
from tests.real_node.installation import Installation, apply_app, catalog_of

_numbers = itertools.count(1)
IN_FORCE = "new configuration in force: 2 apps"
REFUSED = "Redis rejected the credentials"

pytestmark = pytest.mark.real_node


@dataclass
class InstalledJourney(RealJourney):
    """One app, released by the pods of an installation. Its Slack has no other."""

    installation: Installation | None = None

    def _refill(self) -> None:
        pass

    def until(self, look: Callable[[], Seen | None], what: str, within: float = 60.0) -> Seen:
        assert self.installation is not None
        try:
            return Journey.until(self, look, what, within)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.installation.logs()}") from None


@pytest.fixture
def installation(images: Path, real_nodes: RealNodes, tmp_path: Path) -> Iterator[Installation]:
    with Installation(real_nodes, tmp_path, f"shop{next(_numbers)}") as installation:
        yield installation


@pytest.fixture
def journey(installation: Installation, real_nodes: RealNodes) -> Iterator[InstalledJourney]:
    """The app of the installation in the namespace `default`, with two pods of 1.0.0."""
    app = installation.app
    api = config.new_client_from_config(str(real_nodes.kubeconfig))
    sandbox = Sandbox(installation.slack, None, installation.folder, "")  # type: ignore[arg-type]
    with contextlib.closing(api):
        journey = InstalledJourney(
            app, sandbox, api, real_nodes, nodes=real_nodes, installation=installation
        )
        apply_app(real_nodes, app, 2)
        yield journey
        delete_objects_of(journey)


def test_what_helm_installs_releases_an_app(
    installation: Installation, journey: InstalledJourney
) -> None:
    # Other tests of this suite may have the chart's roles in the cluster, under the same name.
    found = installation.objects()
    installation.install()
    assert journey.say("/deploy {app} 2.0.0") == ""
    journey.sees(r"{app} is on 2\.0\.0")
    assert journey.versions() == {"2.0.0": 2}
    assert "Succeeded" in installation.test()
    installation.uninstall()
    # Helm waits for Deployments; the API server removes their pods and endpoints soon after.
    journey.until(lambda: installation.objects() == found, "the cluster as found", within=60)


def test_what_init_writes_is_installed_and_releases_an_app(
    installation: Installation, journey: InstalledJourney, real_nodes: RealNodes, tmp_path: Path
) -> None:
    words = [f"--kubeconfig={real_nodes.kubeconfig}", f"--app=default/{journey.app}"]
    people = [f"--channel={CHANNEL}", f"--deployer={DEVELOPER}", f"--admin={ADMIN}"]
    words += [*people, "--url=https://bots.example.com", f"--directory={tmp_path}"]
    assert init(words, io.StringIO()) == 0
    installation.install(**yaml.safe_load((tmp_path / VALUES).read_text(encoding="utf-8")))
    assert journey.say("/deploy {app} 2.0.0") == ""
    journey.sees(r"{app} is on 2\.0\.0")
    assert journey.versions() == {"2.0.0": 2}


def test_upgrade_and_rollback_of_the_chart_leave_a_canary_where_it_is(
    installation: Installation, journey: InstalledJourney
) -> None:
    installation.install(doctorJob={"enabled": True})
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(r"canary · 50%.*holding")
    held, before = journey.versions(), installation.pods("worker")
    assert held.keys() == {"1.0.0", "2.0.0"}
    installation.upgrade(podAnnotations={"upgraded": "yes"})
    # Helm waits for the new pods, and the old ones end by and by.
    assert eventually(lambda: not set(before) & set(installation.pods("worker")), within_s=60)
    assert journey.versions() == held
    installation.rollback()
    assert journey.versions() == held
    journey.click("Continue now", user=MANAGER)
    journey.click("Promote", user=MANAGER)
    journey.sees(r"{app} is on 2\.0\.0")


def test_a_drained_node_leaves_a_bot_that_answers_and_a_release_that_continues(
    installation: Installation, journey: InstalledJourney, real_nodes: RealNodes
) -> None:
    two = {"replicas": 2}
    installation.install(bot=two, worker={**two, "processes": 1}, **installation.keep_redis_on(1))
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(r"canary · 50%.*holding")
    try:
        drain = ("--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=110s")
        real_nodes.kubectl("drain", "node-2", *drain)
        assert journey.say("/deploy {app} 3.0.0 dry-run") == ""
        journey.click("Continue now", user=MANAGER)
        journey.click("Promote", user=MANAGER)
        journey.sees(r"{app} is on 2\.0\.0")
    finally:
        real_nodes.kubectl("uncordon", "node-2")


def test_ones_own_redis_with_tls_and_a_password_serves_a_release(
    installation: Installation, journey: InstalledJourney
) -> None:
    url = installation.own_redis("pa55word")
    installation.create_secret("own-redis-url", {"url": url})
    installation.install(**installation.own_redis_values())
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")


def test_ones_own_redis_with_sentinel_and_tls_serves_a_release(
    installation: Installation, journey: InstalledJourney
) -> None:
    url = installation.own_sentinel("pa55word", "0ther")
    installation.create_secret("own-redis-url", {"url": url})
    installation.install(**installation.own_redis_values())
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    assert "0ther" not in installation.logs() and "pa55word" not in installation.logs()


def test_a_changed_catalog_reaches_the_pods_without_a_restart(
    installation: Installation, journey: InstalledJourney
) -> None:
    installation.install()
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(r"canary · 50%.*holding")
    before = {name: installation.pods(name) for name in ("bot", "worker")}
    catalog = catalog_of(installation.app)
    catalog["apps"]["other"] = {**catalog["apps"][installation.app], "deployment": installation.app}
    installation.upgrade(catalog=catalog)
    for name in before:
        assert eventually(lambda: IN_FORCE in installation.log_of(name), within_s=120)  # noqa: B023
    assert {name: installation.pods(name) for name in before} == before
    assert journey.say("/pods other") == ""
    journey.click("Continue now", user=MANAGER)
    journey.click("Promote", user=MANAGER)
    journey.sees(r"{app} is on 2\.0\.0")


def test_the_gate_stops_an_install_with_a_wrong_token_before_anything_is_made(
    installation: Installation, journey: InstalledJourney
) -> None:
    found = installation.objects()
    token = installation.slack.settings.bot_token
    installation.create_secret("pilothouse-slack", {**installation.secrets(), "bot-token": "xoxb-"})
    with pytest.raises(ControlPlaneFailed, match="pre-install"):
        installation.install(gate={"enabled": True, "retries": 0})
    assert "invalid_auth" in installation.gate_log()
    left = {name for name in installation.objects() - found if "gate" not in name}
    assert left == set(), "nothing but the Job that failed, for its log"
    installation.create_secret("pilothouse-slack", {**installation.secrets(), "bot-token": token})
    installation.uninstall()
    installation.install(gate={"enabled": True, "retries": 0})
    assert journey.say("/deploy {app} 2.0.0") == ""
    journey.sees(r"{app} is on 2\.0\.0")


def test_the_gate_stops_an_upgrade_to_a_cluster_that_cannot_be_reached(
    installation: Installation, journey: InstalledJourney
) -> None:
    installation.install()
    before = {name: installation.pods(name) for name in ("bot", "worker")}
    catalog = catalog_of(installation.app)
    catalog["clusters"]["elsewhere"] = {"kubeconfig": "/etc/elsewhere/kubeconfig"}
    catalog["apps"]["far"] = {"cluster": "elsewhere"}
    catalog["apps"][installation.app]["cluster"] = "production"
    with pytest.raises(ControlPlaneFailed, match="pre-upgrade"):
        installation.upgrade(catalog=catalog, gate={"enabled": True, "retries": 0})
    assert "elsewhere: " in installation.gate_log()
    assert {name: installation.pods(name) for name in before} == before
    assert "far" not in installation.kubectl("get", "configmaps", "--output=yaml")
    assert journey.say("/deploy {app} 2.0.0") == ""
    journey.sees(r"{app} is on 2\.0\.0")


def test_a_wrong_password_is_named_and_keeps_the_pods_unready(
    installation: Installation,
) -> None:
    url = installation.own_redis("pa55word")
    installation.create_secret("own-redis-url", {"url": url.replace("pa55word", "other")})
    installation.install(wait=False, **installation.own_redis_values())
    assert eventually(lambda: REFUSED in installation.log_of("worker"), within_s=60)
    for component, port in (("bot", 3000), ("worker", 9090)):
        assert eventually(lambda: installation.get(component, port, "/healthz")[0] == 200)  # noqa: B023
        status, body = installation.get(component, port, "/readyz")
        assert status == 503, body
    assert "pa55word" not in installation.logs()
