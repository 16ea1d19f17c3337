from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from bot.cluster import KubernetesCluster
from bot.cluster.discovery import all_resources, resources_of
from bot.ports import Refused, UnknownField
from bot.releases.facts.observation import ProbeSeen
from bot.releases.facts.plan import Probe
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab, candidate_of, deployment, service


def test_tables_have_kubectls_columns(lab: Lab) -> None:
    columns = {
        kind: lab.cluster.table([lab.target], kind, wide=False).columns
        for kind in ("deployments", "pods", "services")
    }
    assert columns == {
        "deployments": ("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"),
        "pods": ("NAME", "READY", "STATUS", "RESTARTS", "AGE"),
        "services": ("NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"),
    }
    wide = lab.cluster.table([lab.target], "pods", wide=True).columns
    assert wide == (
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "IP",
        "NODE",
        "NOMINATED NODE",
        "READINESS GATES",
    )
    (row,) = lab.cluster.table([lab.target], "deployments", wide=False).rows
    assert row[:4] == ("hello", "2/2", "2", "2")


def test_tables_show_the_app_and_its_candidate_and_nothing_else(lab: Lab) -> None:
    lab.create("deployments", candidate_of(lab.stable(), "hello-1", replicas=0))
    lab.create("services", service("other"))
    names = {
        kind: sorted(row[0] for row in lab.cluster.table([lab.target], kind, wide=False).rows)
        for kind in ("deployments", "services")
    }
    assert names == {"deployments": ["hello", "hello-canary"], "services": ["hello"]}
    owners = {
        row[0].rpartition("-")[0].rpartition("-")[0]
        for row in lab.cluster.table([lab.target], "pods", wide=False).rows
    }
    assert owners == {"hello"}


def test_events_of_the_app_come_newest_first(lab: Lab) -> None:
    lab.edit("deployments", "hello", {"spec": {"replicas": 3}})
    assert eventually(
        lambda: "to 3" in str(lab.cluster.table([lab.target], "events", wide=False).rows)
    )
    table = lab.cluster.table([lab.target], "events", wide=False)
    assert table.columns == ("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE")
    scalings = [
        row[4]
        for row in table.rows
        if row[2] == "ScalingReplicaSet" and row[3] == "deployment/hello"
    ]
    assert [text.rpartition(" ")[2] for text in scalings] == ["3", "2"]


@pytest.mark.parametrize("kind", ["deployments", "replicasets", "pods", "services", "events"])
def test_a_table_of_several_apps_names_the_app_first_and_counts(lab: Lab, kind: str) -> None:
    labels = {"app": "other"}
    other = deployment("other", replicas=1, selector={"matchLabels": labels})
    other["spec"]["template"]["metadata"]["labels"] = labels
    lab.create("deployments", other)
    lab.create("services", service("other"))
    targets = [
        replace(lab.target, app=name, deployment=name, services=(name,))
        for name in ("hello", "other", "missing")
    ]

    assert eventually(
        lambda: (
            {row[0] for row in lab.cluster.table(targets, kind, wide=False).rows}
            == {"hello", "other"}
        )
    )
    table = lab.cluster.table(targets, kind, wide=False)
    assert table.columns[0] == "APP"
    assert table.note.startswith(f"{len(table.rows)} {kind} in {lab.namespace}")
    assert ("without a Deployment: missing" in table.note) == (kind != "services")
    column = table.columns.index("OBJECT" if kind == "events" else "NAME")
    assert all(
        row[0] in row[column]
        for row in table.rows
        if kind != "events" or not row[column].startswith("service")
    )


def test_a_table_of_a_missing_app_is_refused_in_plain_words(empty_lab: Lab) -> None:
    with pytest.raises(Refused, match="There is no Deployment hello in namespace"):
        empty_lab.cluster.table([empty_lab.target], "pods", wide=False)


def test_explain_reads_like_kubectls(lab: Lab) -> None:
    text = lab.cluster.explain("deploy.spec.replicas", recursive=False)
    head = (
        "GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nFIELD: replicas"
        " <integer>\n\n\n"
    )
    assert text.startswith(f"{head}DESCRIPTION:\n    Number of desired pods.")
    tree = lab.cluster.explain("deployment.spec.strategy", recursive=True)
    assert "  rollingUpdate\t<RollingUpdateDeployment>\n    maxSurge\t<IntOrString>\n" in tree


@dataclass
class InMemoryShelf:
    kept: dict[str, bytes] = field(default_factory=dict)

    def fetch(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def keep(self, name: str, content: bytes) -> None:
        self.kept[name] = content


def test_explain_fetches_a_document_once_per_hash(lab: Lab) -> None:
    shelf = InMemoryShelf()
    cluster = KubernetesCluster(kubeconfig=str(lab.kubeconfig), shelf=shelf)
    first = cluster.explain("deploy.spec.replicas", recursive=False)
    ((name, content),) = shelf.kept.items()
    assert "/openapi/v3/apis/apps/v1?hash=" in name
    shelf.kept[name] = content.replace(b"Number of desired pods.", b"Number of pods wanted.")
    assert "Number of pods wanted." in cluster.explain("deploy.spec.replicas", recursive=False), (
        "answered from what was kept"
    )
    shelf.kept = {name.replace("hash=", "hash=OLD"): b"{}"}
    assert cluster.explain("deploy.spec.replicas", recursive=False) == first, (
        "a document of another hash is another document"
    )


def test_explain_discovers_names_with_one_request(lab: Lab) -> None:
    shelf = InMemoryShelf()
    cluster = KubernetesCluster(kubeconfig=str(lab.kubeconfig), shelf=shelf)
    cluster.explain("deploy.spec.replicas", recursive=False)
    before = lab.reads()
    cluster.explain("deploy.spec.strategy", recursive=False)
    after = lab.reads()
    if before is not None and after is not None:
        assert after - before == 3, "/api, /apis and the index of documents"


def test_aggregated_and_per_group_discovery_give_the_same_names(
    lab: Lab,
) -> None:
    connection = lab.cluster.connection
    groups = connection.get("/apis")["groups"]
    one_by_one = {
        one
        for group in ({"preferredVersion": {"groupVersion": "v1"}}, *groups)
        for one in resources_of(connection, group["preferredVersion"]["groupVersion"])
    }
    at_once = all_resources(connection)
    assert set(at_once) == one_by_one
    assert at_once[0].group == "", "the core group first: its names win"


def test_custom_resources_are_explained_by_any_of_their_names(lab: Lab) -> None:
    group, crds = (
        f"{lab.namespace}.example.com",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    )
    spec = {
        "type": "object",
        "description": "What it shall be.",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "description": "How big."},
            "color": {"type": "string", "enum": ["red", "blue"]},
        },
    }
    schema = {"type": "object", "description": "A gadget.", "properties": {"spec": spec}}
    names = {"kind": "Gadget", "plural": "gadgets", "singular": "gadget", "shortNames": ["gd"]}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gadgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    lab.cluster.connection.post(crds, crd)
    try:
        assert eventually(lambda: "How big." in explained(lab, "gd.spec.size"), within_s=20)
        told = explained(lab, "gadgets.spec")
        assert f"GROUP:      {group}\nKIND:       Gadget\nVERSION:    v1" in told
        assert "size\t<integer> -required-" in told and "enum: red, blue" in told
        assert "nearest: size" in explained(lab, "Gadget.spec.sise")
    finally:
        lab.cluster.connection.send("DELETE", f"{crds}/gadgets.{group}")


def explained(lab: Lab, path: str) -> str:
    try:
        return lab.cluster.explain(path, recursive=False)
    except UnknownField as unknown:
        return str(unknown)


def test_letter_case_does_not_matter_to_explain(lab: Lab) -> None:
    assert lab.cluster.explain("Deploy.SPEC.Replicas", recursive=False) == lab.cluster.explain(
        "deploy.spec.replicas", recursive=False
    )


def test_a_wrong_path_names_the_nearest_fields(lab: Lab) -> None:
    with pytest.raises(
        UnknownField, match=r"Deployment\.spec has no field `replicaz`; nearest: replicas"
    ):
        lab.cluster.explain("deploy.spec.replicaz", recursive=False)
    with pytest.raises(UnknownField, match=r"no resource `deploymnt`; nearest: deployment"):
        lab.cluster.explain("deploymnt", recursive=False)


def test_an_administrator_lacks_no_permission(lab: Lab) -> None:
    assert lab.cluster.missing_permissions(lab.namespace) == ()


def test_a_missing_pod_has_no_logs(lab: Lab) -> None:
    assert lab.cluster.logs(lab.target, "hello-none", container=None, lines=10, previous=True) == ()


def test_a_probe_without_an_endpoint_fails_for_each_request(lab: Lab) -> None:
    answers = lab.cluster.probe(lab.target, "none", "/version", requests=3, sticky=False, url=None)
    assert len(answers) == 3
    assert all(one.startswith("error: ") for one in answers)


def test_a_probe_names_the_port_of_a_service(lab: Lab) -> None:
    named = {"selector": {"app": "hello"}, "ports": [{"name": "http", "port": 80}]}
    lab.create("services", {**service(), "metadata": {"name": "named"}, "spec": named})

    def is_passed_on() -> bool:
        answers = lab.cluster.probe(
            lab.target, "named", "/version", requests=1, sticky=False, url=None
        )
        return "no endpoints available" not in answers[0]

    assert eventually(is_passed_on)


def test_pods_are_probed_one_by_one_and_a_missing_one_is_named(lab: Lab) -> None:
    stable = lab.stable()
    pods = [pod.name for replica_set in stable.replica_sets for pod in replica_set.pods]
    seen = lab.cluster.ask_pods(lab.target, [*pods, "hello-none"], Probe("/version", 80, 3))
    assert seen.asked == 3
    assert dict(seen.failed)["hello-none"] == 'pods "hello-none" not found'


def test_no_pods_give_no_results(lab: Lab) -> None:
    assert lab.cluster.ask_pods(lab.target, [], Probe("/version", 80, 3)) == ProbeSeen(0)
