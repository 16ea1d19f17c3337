"""Claims that a lost Redis left in a cluster: listed, and ended by their uid alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.adopt import AT_WORK_MS, Left, end, find_left, knows, main
from bot.cluster import KubernetesClusters
from bot.cluster.adapter import KubernetesCluster
from bot.cluster.connect import path_of
from bot.ports import Cluster, PreconditionFailed
from bot.releases.facts.actions import CreateDeployment, FieldChange, PatchDeployment
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import CLAIM_ANNOTATION, INSTALLATION_ANNOTATION
from bot.releases.facts.target import Strategy, default_candidate_name
from bot.store import RedisReleaseStore, connect
from bot.wiring import installation_of
from config.settings import Settings
from sandbox.cluster import SimulatedCluster
from tests.builders import a_release, a_target

CATALOG = """
clusters: {local: {kubeconfig: ./kubeconfig, context: sandbox}}
apps: {hello: {cluster: local}}
"""


def deployment(name: str, claim: str, track: str, installation: str = "") -> dict[str, Any]:
    mark = {INSTALLATION_ANNOTATION: installation} if installation else {}
    labels = {"app": "hello", "track": track}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {CLAIM_ANNOTATION: claim, **mark} if claim else {},
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "hello", "image": "registry.test/hello:1"}]},
            },
        },
    }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SimulatedCluster]:
    with SimulatedCluster() as running:
        running.kubeconfig(tmp_path / "kubeconfig")
        yield running


def left_in(folder: Path, url: str) -> dict[str, Left]:
    entry = {"kubeconfig": str(folder / "kubeconfig"), "context": None, "in_cluster": False}
    store = RedisReleaseStore(connect(url))
    found = find_left(KubernetesClusters({"local": entry})["local"], a_target(), knows(store))
    return {one.deployment.name: one for one in found}


def test_a_claim_that_no_store_knows_is_found_and_ended_by_its_uid(
    cluster: SimulatedCluster, tmp_path: Path, redis_url: str
) -> None:
    cluster.seed([deployment("hello", "hello-41", "stable")])
    (left,) = left_in(tmp_path, redis_url).values()
    assert "claim hello-41" in left.line(0) and "the claim is removed" in left.line(0)
    entry = {"kubeconfig": str(tmp_path / "kubeconfig"), "context": None, "in_cluster": False}
    local = KubernetesClusters({"local": entry})["local"]
    end(local, left)
    assert left_in(tmp_path, redis_url) == {}
    cluster.seed([deployment("hello", "hello-50", "stable")])
    with pytest.raises(PreconditionFailed):
        end(local, left)


def test_a_claim_of_a_release_that_redis_knows_is_left_alone(
    cluster: SimulatedCluster, tmp_path: Path, redis_url: str
) -> None:
    store = RedisReleaseStore(connect(redis_url))
    known = store.create(a_release(), dedup_key="", same_as="", operation="1").release.id
    cluster.seed(
        [deployment("hello", known, "stable"), deployment("hello-canary", "hello-9", "canary")]
    )
    assert set(left_in(tmp_path, redis_url)) == {"hello-canary"}


def test_the_command_lists_and_ends(
    cluster: SimulatedCluster,
    tmp_path: Path,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    for name, value in {
        "SLACK_BOT_TOKEN": "xoxb-1",
        "REDIS_URL": redis_url,
        "PILOTHOUSE_CONFIG": str(tmp_path / "catalog.yaml"),
    }.items():
        monkeypatch.setenv(name, value)
    cluster.seed([deployment("hello", "hello-41", "stable")])
    assert main([]) == 0
    uid = capsys.readouterr().out.split()[0]
    assert main(["--end", "no-such-uid", "--yes"]) == 1
    assert main(["--end", uid, "--yes"]) == 0
    assert capsys.readouterr().out.endswith("ended: hello-41 on hello\n")
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("no claims are left")


def test_what_a_pilothouse_wrote_minutes_ago_is_not_ended(
    cluster: SimulatedCluster, tmp_path: Path, redis_url: str
) -> None:
    cluster.seed([deployment("hello", "hello-41", "stable")])
    (left,) = left_in(tmp_path, redis_url).values()
    at_work = Left(left.target, left.deployment, False, written_at=1_000)
    assert at_work.may_be_at_work(1_000 + AT_WORK_MS - 1)
    assert not at_work.may_be_at_work(1_000 + AT_WORK_MS)


OURS, OTHERS = "aaaa", "bbbb"


def test_what_carries_our_mark_is_ended_at_once_and_what_carries_anothers_never(
    cluster: SimulatedCluster, tmp_path: Path, redis_url: str
) -> None:
    cluster.seed(
        [
            deployment("hello", "hello-41", "stable", OURS),
            deployment("hello-canary", "hello-41", "canary", OTHERS),
            deployment("hello-green", "hello-41", "green"),
        ]
    )
    left = left_in(tmp_path, redis_url)
    now = 1_000 + AT_WORK_MS - 1
    why_not = {
        name: replace(one, written_at=1_000).why_not((OURS,), now) for name, one in left.items()
    }
    assert why_not["hello"] == ""
    assert why_not["hello-canary"].startswith("it belongs to the installation bbbb: end it there")
    assert "may still be at work" in why_not["hello-green"]
    assert left["hello-canary"].why_not((OURS, OTHERS), now) == ""
    assert "claim hello-41 of bbbb" in left["hello-canary"].line(0)


def marks_of(cluster: Cluster, name: str) -> dict[str, str]:
    """As they are in the cluster."""
    assert isinstance(cluster, KubernetesCluster)
    path = path_of("deployments", "default", name)
    found: dict[str, str] = cluster.connection.get(path)["metadata"].get("annotations") or {}
    return {key: value for key, value in found.items() if "pilothouse" in key}


def test_a_claim_is_marked_with_its_installation_and_the_mark_goes_with_it(
    cluster: SimulatedCluster, tmp_path: Path, redis_url: str
) -> None:
    cluster.seed([deployment("hello", "", "stable"), deployment("hello-canary", "c-1", "canary")])
    entry = {"kubeconfig": str(tmp_path / "kubeconfig"), "context": None, "in_cluster": False}
    local = KubernetesClusters({"local": entry}, installation=OURS)["local"]
    canary = default_candidate_name(a_target(), Strategy.CANARY)
    seen = local.observe(a_target(), candidate=canary).stable
    assert seen is not None

    def change(before: str, after: str | None) -> None:
        claimed = FieldChange(Field.CLAIM, before, after)
        action = PatchDeployment("hello", seen.uid, before, (claimed,))
        local.apply(a_target(), action)

    change("", "hello-1")
    marked = {CLAIM_ANNOTATION: "hello-1", INSTALLATION_ANNOTATION: OURS}
    assert marks_of(local, "hello") == marked
    found = local.observe(a_target(), candidate=canary).stable
    assert found is not None and found.installation == OURS
    assert INSTALLATION_ANNOTATION not in found.annotations, "no decision reads it"
    change("hello-1", None)
    assert marks_of(local, "hello") == {}
    # An older version wrote this one: without a mark.
    (left,) = left_in(tmp_path, redis_url).values()
    end(local, left)
    assert CLAIM_ANNOTATION not in str(local.observe(a_target(), candidate=canary).candidate)


def test_a_candidate_is_created_with_the_mark(cluster: SimulatedCluster, tmp_path: Path) -> None:
    del cluster
    entry = {"kubeconfig": str(tmp_path / "kubeconfig"), "context": None, "in_cluster": False}
    local = KubernetesClusters({"local": entry}, installation=OURS)["local"]
    body = deployment("hello-canary", "hello-1", "canary")
    local.apply(a_target(), CreateDeployment("hello-canary", "hello-1", body))
    marked = {CLAIM_ANNOTATION: "hello-1", INSTALLATION_ANNOTATION: OURS}
    assert marks_of(local, "hello-canary") == marked


def test_an_installation_is_known_by_its_bot_token() -> None:
    tokens = [Settings("redis://r/0", Path("c"), slack_bot_token=f"xoxb-{n}") for n in (1, 1, 2)]
    first, again, other = map(installation_of, tokens)
    assert first == again != other and len(first) == 12 and "xoxb" not in first
    assert installation_of(Settings("redis://r/0", Path("c"))) == ""
