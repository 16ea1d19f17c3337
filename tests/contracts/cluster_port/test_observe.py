from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from bot.cluster import KubernetesCluster
from bot.ports import ClusterUnreachable
from bot.releases.facts.observation import QuotaScope
from bot.releases.facts.target import Target
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import (
    Lab,
    an_autoscaler,
    candidate_of,
    deployment,
    service,
)


def test_the_api_servers_clock_is_read_from_its_answers(lab: Lab) -> None:
    lab.observe()
    server_time = lab.cluster.server_time()
    assert server_time is not None and abs(server_time - time.time() * 1000) < 3_000
    assert KubernetesCluster(kubeconfig=str(lab.kubeconfig)).server_time() is None


def test_a_healthy_app_is_observed_whole(lab: Lab) -> None:
    assert eventually(lambda: sum(one.ready for one in lab.observe().endpoints) == 2)
    seen = lab.observe()
    stable = seen.stable
    assert stable is not None
    assert (stable.name, stable.replicas, stable.available, stable.paused, stable.claim) == (
        "hello",
        2,
        2,
        False,
        "",
    )
    (newest,) = stable.replica_sets
    assert newest.template == stable.template
    assert newest.template_hash
    assert "pod-template-hash" not in newest.template["metadata"]["labels"]
    assert (newest.desired, newest.ready, newest.revision) == (2, 2, 1)
    assert all(pod.ready and pod.ready_since and pod.created_at and pod.node for pod in newest.pods)
    assert [one.name for one in newest.pods[0].containers] == ["hello", "sidecar"]
    assert {one.pod for one in seen.endpoints} == {pod.name for pod in newest.pods}
    (found,) = seen.services
    assert (found.name, found.selector) == ("hello", {"app": "hello"})
    assert found.affinity == {"sessionAffinity": "None", "sessionAffinityConfig": None}
    assert seen.cluster_uid == lab.cluster.uid() != ""


def test_an_observed_app_is_unchanged_until_something_writes_it(lab: Lab) -> None:
    lab.settled()
    lab.create("deployments", candidate_of(lab.stable(), "hello-1"))
    eventually(lambda: lab.read("deployments", "hello-canary").get("status", {}) != {})

    def is_unchanged() -> bool:
        seen = lab.observe("hello-canary", survey=True)
        return lab.cluster.is_unchanged(lab.target, seen, candidate="hello-canary")

    assert eventually(is_unchanged)
    label = {"metadata": {"labels": {"touched": "yes"}}}
    for plural, name in (("deployments", "hello"), ("services", "hello")):
        seen = lab.observe("hello-canary", survey=True)
        lab.edit(plural, name, label)
        assert not lab.cluster.is_unchanged(lab.target, seen, candidate="hello-canary")
    seen = lab.observe("hello-canary", survey=True)
    lab.delete("deployments", "hello-canary")
    assert eventually(
        lambda: not lab.cluster.is_unchanged(lab.target, seen, candidate="hello-canary")
    )


def test_an_app_that_was_not_there_is_never_called_unchanged(empty_lab: Lab) -> None:
    seen = empty_lab.observe(survey=True)
    assert not empty_lab.cluster.is_unchanged(empty_lab.target, seen, candidate="")


def test_absent_objects_read_as_none_and_empty(empty_lab: Lab) -> None:
    seen = empty_lab.observe("hello-canary", survey=True, events=True)
    assert seen.stable is None
    assert seen.candidate is None
    assert (seen.services, seen.endpoints, seen.events) == ((), (), ())


def test_the_other_candidate_is_observed_without_the_first(lab: Lab) -> None:
    def seen_as_candidate(candidate: str, or_candidate: str) -> str:
        found = lab.observe(candidate, or_candidate=or_candidate).candidate
        return found.name if found else ""

    assert seen_as_candidate("hello-green", "hello-canary") == ""
    lab.create("deployments", candidate_of(lab.stable(), "hello-1", replicas=0))
    assert seen_as_candidate("hello-green", "hello-canary") == "hello-canary"
    green = candidate_of(lab.stable(), "hello-1", replicas=0)
    lab.create("deployments", {**green, "metadata": {"name": "hello-green"}})
    assert seen_as_candidate("hello-green", "hello-canary") == "hello-green"


def test_observing_several_apps_costs_two_reads_a_namespace(
    lab: Lab,
) -> None:
    lab.create(
        "deployments",
        {**candidate_of(lab.stable(), "hello-1"), "metadata": {"name": "hello-green"}},
    )
    targets = [
        lab.target,
        Target("missing", "local", lab.namespace, "missing", "missing", ("missing",)),
    ]
    before = lab.reads()
    seen = lab.cluster.observe_apps(targets)
    after = lab.reads()
    if before is not None and after is not None:
        assert after - before <= 3, "Deployments, Services, and which cluster it is"
    hello, missing = seen["hello"], seen["missing"]
    assert hello.stable is not None and hello.candidate is not None
    assert hello.stable.template == lab.stable().template
    assert (hello.candidate.name, [one.name for one in hello.services]) == (
        "hello-green",
        ["hello"],
    )
    assert (missing.stable, missing.candidate, missing.services) == (None, None, ())
    assert hello.cluster_uid == lab.cluster.uid()


def test_pods_belong_by_owner_and_not_by_labels(lab: Lab) -> None:
    lab.create("deployments", candidate_of(lab.stable(), "hello-1", replicas=1))

    def candidates() -> int:
        candidate = lab.observe("hello-canary").candidate
        return sum(len(one.pods) for one in candidate.replica_sets) if candidate else 0

    assert eventually(lambda: candidates() == 1)
    seen = lab.observe("hello-canary")
    assert seen.stable is not None
    assert seen.candidate is not None
    of_stable = {pod.name for one in seen.stable.replica_sets for pod in one.pods}
    of_candidate = {pod.name for one in seen.candidate.replica_sets for pod in one.pods}
    assert len(of_stable) == 2
    assert not of_stable & of_candidate
    assert all(name.startswith("hello-canary-") for name in of_candidate)


@pytest.mark.parametrize("own_selector", [False, True])
def test_a_candidate_is_observed_whole_whether_or_not_stables_lists_hold_it(
    lab: Lab, own_selector: bool
) -> None:
    body = candidate_of(lab.stable(), "hello-1", replicas=1)
    labels = (
        {"app": "hello-green", "color": "green"}
        if own_selector
        else {"app": "hello", "track": "canary"}
    )
    body["spec"]["selector"] = {"matchLabels": labels}
    body["spec"]["template"]["metadata"]["labels"] = labels
    lab.create("deployments", body)

    def ready() -> int:
        candidate = lab.observe("hello-canary").candidate
        return (
            sum(pod.ready for one in candidate.replica_sets for pod in one.pods) if candidate else 0
        )

    assert eventually(lambda: ready() == 1)


def test_a_green_that_differs_by_its_labels_values_costs_no_list_of_its_own(lab: Lab) -> None:
    body = candidate_of(lab.stable(), "hello-1", replicas=1)
    labels = {"app": "hello-green", "color": "green"}
    body["spec"]["selector"] = {"matchLabels": labels}
    body["spec"]["template"]["metadata"]["labels"] = labels
    lab.create("deployments", body)
    lab.observe("hello-canary")
    assert reads_of(lab, "hello-canary") == 6


def test_observing_a_canary_takes_eight_reads_and_seven_right_after(
    lab: Lab,
) -> None:
    lab.create("deployments", candidate_of(lab.stable(), "hello-1", replicas=1))
    before = lab.reads()
    if before is None:
        pytest.skip("the real API server counts no reads of ours")
    anew = Lab(KubernetesCluster(kubeconfig=str(lab.kubeconfig)), lab.namespace, lab.kubeconfig)
    anew.observe("hello-canary", events=True)
    assert lab.reads() == before + 8
    anew.observe("hello-canary", events=True)
    assert lab.reads() == before + 15, "which cluster this is was just read"


def reads_of(lab: Lab, candidate: str = "", **options: bool) -> int:
    before = lab.reads()
    if before is None:
        pytest.skip("the real API server counts no reads of ours")
    lab.observe(candidate, **options)
    after = lab.reads()
    assert after is not None
    return after - before


def always_asking(lab: Lab) -> Lab:
    cluster = KubernetesCluster(kubeconfig=str(lab.kubeconfig), uid_stands_s=0.0)
    return Lab(cluster, lab.namespace, lab.kubeconfig)


def test_a_deployment_that_is_known_names_its_cluster(lab: Lab) -> None:
    asking = always_asking(lab)
    assert reads_of(asking) == 6
    assert reads_of(asking) == 5
    assert asking.observe().cluster_uid == lab.cluster.uid()


def test_a_deployment_made_anew_does_not_name_its_cluster(lab: Lab) -> None:
    asking = always_asking(lab)
    asking.observe()
    lab.delete("deployments", "hello")
    assert eventually(lambda: lab.observe().stable is None)
    assert reads_of(asking) == 4, "nothing of an app but Service and endpoints; and the cluster"
    lab.create("deployments", deployment())
    assert reads_of(asking) == 6


def test_a_survey_reads_no_object_a_second_time(lab: Lab) -> None:
    lab.create("deployments", candidate_of(lab.stable(), "hello-1", replicas=1))
    asking = always_asking(lab)
    asking.observe(survey=True)
    assert reads_of(asking, "hello-canary", survey=True) == 9, "6 lists of a survey, and 3 reads"
    seen = asking.observe("hello-canary", survey=True)
    assert seen.stable is not None and seen.candidate is not None
    assert [one.name for one in seen.services] == ["hello"]
    assert (seen.stable.name, seen.candidate.name) == ("hello", "hello-canary")


def test_the_version_of_kubernetes_is_read_once_for_several_surveys(lab: Lab) -> None:
    anew = Lab(KubernetesCluster(kubeconfig=str(lab.kubeconfig)), lab.namespace, lab.kubeconfig)
    first, second = anew.observe(survey=True).survey, anew.observe(survey=True).survey
    assert first is not None and second is not None
    assert first.kubernetes == second.kubernetes
    assert first.kubernetes is not None and first.kubernetes >= (1, 36)
    assert reads_of(anew, survey=True) == 9, "6 lists of a survey, and 3 reads"


def test_the_survey_holds_what_planning_needs(lab: Lab) -> None:
    lab.create("deployments", candidate_of(lab.stable(), "hello-1"))
    lab.create("services", {**service("other")})
    lab.create("horizontalpodautoscalers", an_autoscaler("hello", least=2))
    lab.create(
        "poddisruptionbudgets",
        {
            "metadata": {"name": "hello"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "hello"}}},
        },
    )
    lab.create(
        "networkpolicies",
        {"metadata": {"name": "deny"}, "spec": {"podSelector": {"matchLabels": {"app": "hello"}}}},
    )
    urgent = {
        "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["urgent"]}]
    }
    lab.create(
        "resourcequotas",
        {
            "metadata": {"name": "pods"},
            "spec": {"hard": {"pods": "20"}, "scopes": ["NotTerminating"], "scopeSelector": urgent},
        },
    )
    survey = lab.observe(survey=True).survey
    assert survey is not None
    (autoscaler,) = survey.autoscalers
    assert (autoscaler.target, autoscaler.min_replicas, autoscaler.max_replicas) == ("hello", 2, 5)
    assert [one.name for one in survey.budgets] == ["hello"]
    assert [(one.name, one.hard) for one in survey.quotas] == [("pods", {"pods": "20"})]
    assert survey.quotas[0].scopes == (
        QuotaScope("NotTerminating"),
        QuotaScope("PriorityClass", "In", ("urgent",)),
    )
    assert [one.name for one in survey.leftovers] == ["hello-canary"]
    assert {(one.kind, one.name) for one in survey.selecting} == {
        ("NetworkPolicy", "deny"),
        ("PodDisruptionBudget", "hello"),
        ("Service", "other"),
        ("Deployment", "hello-canary"),
    }


def test_field_owners_are_observed_leaf_by_leaf(lab: Lab) -> None:
    lab.edit("deployments", "hello", {"spec": {"replicas": 3}}, manager="somebody")
    owners = {
        (manager, path)
        for manager, operation, _, path in lab.stable().managers
        if operation == "Update"
    }
    assert ("somebody", "spec.replicas") in owners
    assert ("kubectl-create", "spec.template.spec.containers[name=hello].image") in owners
    assert not any(path.startswith("status") for _, path in owners)


def test_old_replica_sets_come_after_the_newest(lab: Lab) -> None:
    template = lab.read("deployments", "hello")["spec"]["template"]
    template["spec"]["containers"][0]["image"] = "kelseyhightower/hello:2.0.0"
    lab.edit("deployments", "hello", {"spec": {"template": template}})
    stable = lab.settled()
    assert [one.revision for one in stable.replica_sets] == [2, 1]


def test_an_unreachable_cluster_never_reads_as_empty(tmp_path: Path, lab: Lab) -> None:
    path = tmp_path / "kubeconfig"
    text = lab.kubeconfig.read_text()
    path.write_text(text.replace(lab.cluster.connection.server, "http://127.0.0.1:1"))
    away = KubernetesCluster(kubeconfig=str(path))
    with pytest.raises(ClusterUnreachable, match="refuses connections"):
        away.observe(lab.target, candidate="")


def test_a_missing_kubeconfig_is_named() -> None:
    cluster = KubernetesCluster(kubeconfig="/nowhere/kubeconfig")
    with pytest.raises(ClusterUnreachable, match="/nowhere/kubeconfig cannot be used"):
        cluster.uid()


def test_rejected_credentials_never_read_as_missing_objects(tmp_path: Path, lab: Lab) -> None:
    path = tmp_path / "kubeconfig"
    config = yaml.safe_load(lab.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "stranger"}
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ClusterUnreachable, match="credentials"):
        KubernetesCluster(kubeconfig=str(path)).observe(lab.target, candidate="")


def test_a_missing_namespace_holds_no_app(lab: Lab) -> None:
    target = Target("hello", "local", f"{lab.namespace}-none", "hello", None, ("hello",))
    assert lab.cluster.observe(target, candidate="").stable is None


def test_a_paused_deployment_is_observed_as_paused(empty_lab: Lab) -> None:
    empty_lab.create("deployments", deployment(paused=True))
    stable = empty_lab.stable()
    assert stable.paused
    assert stable.replica_sets == ()
