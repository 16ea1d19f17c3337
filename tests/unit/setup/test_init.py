"""`pilothouse init` beside the simulated cluster: what it writes, says, leaves out and refuses."""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.setup.init import main
from bot.setup.report import CATALOG, MANIFEST, VALUES
from config.catalog import AppCatalogEntry, load_catalog
from config.check import main as check
from sandbox.cluster import SimulatedCluster
from sandbox.cluster.api_server.resources import DEPLOYMENTS

Json = dict[str, Any]
_numbers = itertools.count(1)
PEOPLE = ("--channel", "C0RELEASES", "--deployer", "U0DEV1", "--admin", "U0ADMIN")
CHART = ("--socket-mode", "--image", "registry.example.com/pilothouse")
SILENT = (*PEOPLE, *CHART)
HELM = {"meta.helm.sh/release-name": "shop"}


def deployment(namespace: str, name: str, *containers: str, **more: Any) -> Json:
    labels = {"app": name}
    images = [{"name": one, "image": f"pilothouse/{one}:1.0.0"} for one in containers or (name,)]
    notes = more.pop("notes", {})
    template = {
        "metadata": {"labels": labels, "annotations": notes},
        "spec": {"containers": images},
    }
    metadata = {"namespace": namespace, "name": name, **more}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def service(namespace: str, name: str, app: str | None) -> Json:
    spec: Json = {"ports": [{"port": 80}]}
    if app is not None:
        spec["selector"] = {"app": app}
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def cluster() -> Iterator[SimulatedCluster]:
    with SimulatedCluster() as running:
        yield running


@dataclass
class Keyboard:
    """A person who types `pilothouse init`, with a namespace that no other test uses."""

    cluster: SimulatedCluster
    folder: Path
    capsys: pytest.CaptureFixture[str]
    namespace: str = field(default_factory=lambda: f"shop{next(_numbers)}")
    out: str = ""
    err: str = ""

    def uid(self, name: str) -> str:
        found = self.cluster.run(lambda it: it.store.get(DEPLOYMENTS, self.namespace, name))
        assert found is not None
        return str(found["metadata"]["uid"])

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.kubeconfig(self.folder / "kubeconfig")

    def seed(self, *items: Json) -> None:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self.cluster.seed([space, *items])

    def types(self, *words: str, answers: Sequence[str] = ()) -> int:
        """Runs the command in the folder; ``answers`` are the lines of stdin."""
        stdin = io.StringIO("".join(f"{line}\n" for line in answers))
        code = main([*words, "--directory", str(self.folder)], stdin)
        self.out, self.err = self.capsys.readouterr()
        return code

    def reads(self, *more: str) -> int:
        """`init` for the namespace, everything by flags."""
        here = ("--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace)
        return self.types(*here, *SILENT, *more)

    def read(self, name: str) -> Any:
        return yaml.safe_load((self.folder / name).read_text(encoding="utf-8"))

    def app(self, name: str) -> AppCatalogEntry:
        return load_catalog(self.folder / CATALOG).apps[name]

    @property
    def wrote_nothing(self) -> bool:
        return not any((self.folder / name).exists() for name in (CATALOG, MANIFEST, VALUES))


@pytest.fixture
def keyboard(
    cluster: SimulatedCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Keyboard:
    return Keyboard(cluster, tmp_path, capsys)


def test_a_deployment_and_its_services_become_an_app(keyboard: Keyboard) -> None:
    at = keyboard.namespace
    keyboard.seed(
        deployment(at, "hello"),
        service(at, "hello", "hello"),
        service(at, "hello-internal", "hello"),
        deployment(at, "worker"),
    )
    assert keyboard.reads() == 0, keyboard.err
    hello = keyboard.app("hello")
    assert (hello.namespace, hello.services) == (at, ("hello", "hello-internal"))
    assert keyboard.app("worker").services == ()
    assert f"hello: Deployment {at}/hello, Service hello, Service hello-internal" in keyboard.out
    assert "Read 2 Deployments in 1 namespace through context sandbox" in keyboard.out


@pytest.mark.parametrize("name", [CATALOG, VALUES])
def test_what_is_written_passes_check(keyboard: Keyboard, name: str) -> None:
    keyboard.seed(deployment(keyboard.namespace, "hello"))
    assert keyboard.reads() == 0
    assert check([str(keyboard.folder / name)]) == 0
    assert "1 app on 1 cluster, no mistakes" in keyboard.capsys.readouterr().out


def test_the_chart_reads_the_same_apps_from_inside_the_cluster(keyboard: Keyboard) -> None:
    keyboard.seed(deployment(keyboard.namespace, "hello"))
    assert keyboard.reads() == 0
    catalog, values = keyboard.read(CATALOG), keyboard.read(VALUES)
    assert catalog["clusters"] == {"sandbox": {"kubeconfig": "./kubeconfig", "context": "sandbox"}}
    assert values["catalog"] == catalog | {"clusters": {"sandbox": {"in_cluster": True}}}
    assert values["slack"] == {"existingSecret": "pilothouse-slack", "socketMode": True}
    assert values["image"] == {"repository": "registry.example.com/pilothouse"}


def test_the_manifest_is_for_socket_mode_or_for_the_address(keyboard: Keyboard) -> None:
    keyboard.seed(deployment(keyboard.namespace, "hello"))
    assert keyboard.reads() == 0
    assert keyboard.read(MANIFEST)["settings"]["socket_mode_enabled"] is True
    here = ("--kubeconfig", str(keyboard.kubeconfig), "--namespace", keyboard.namespace)
    url = ("--url", "https://pilothouse.example.com/slack/events", "--image", "pilothouse")
    assert keyboard.types(*here, *PEOPLE, *url, "--force") == 0
    events = keyboard.read(MANIFEST)["settings"]["event_subscriptions"]
    assert events["request_url"] == "https://pilothouse.example.com/slack/events"
    ingress = keyboard.read(VALUES)["ingress"]
    assert (ingress["enabled"], ingress["host"]) == (True, "pilothouse.example.com")
    assert "signing-secret" in keyboard.out


def test_what_is_left_out_is_named_with_its_reason(keyboard: Keyboard) -> None:
    at = keyboard.namespace
    keyboard.seed(deployment(at, "hello"))
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "hello",
        "uid": keyboard.uid("hello"),
        "controller": True,
    }
    keyboard.seed(
        deployment(at, "hello-canary"),
        deployment(at, "cart", "web", "proxy"),
        deployment(at, "db", ownerReferences=[owner]),
        deployment(at, "bots", labels={"app.kubernetes.io/name": "pilothouse"}),
        service(at, "external", None),
        service(at, "legacy", "nobody"),
        service(at, "db", "db"),
    )
    assert keyboard.reads() == 0
    assert set(load_catalog(keyboard.folder / CATALOG).apps) == {"hello"}
    for line in (
        f"Deployment {at}/hello-canary: has the name that a canary release of hello gives to its",
        f"Deployment {at}/cart: has 2 containers (web, proxy): choose the one to release, with --",
        f"Deployment {at}/db: belongs to Deployment hello, which would revert a release",
        f"Deployment {at}/bots: is Pilothouse itself",
        f"Service {at}/external: has no selector, so it selects no pods",
        f"Service {at}/legacy: selects the pods of no Deployment here",
        f"Service {at}/db: selects db, which is left out",
    ):
        assert f"  {line}" in keyboard.out


def test_the_clusters_own_namespaces_are_left_out_unless_named(
    cluster: SimulatedCluster, keyboard: Keyboard
) -> None:
    dns = deployment("kube-system", "coredns")
    keyboard.seed(deployment(keyboard.namespace, "hello"), dns)
    try:
        assert keyboard.types("--kubeconfig", str(keyboard.kubeconfig), *SILENT) == 0
        assert "1 Deployment of kube-system (coredns): the cluster's own" in keyboard.out
        system = ("--kubeconfig", str(keyboard.kubeconfig), "--namespace", "kube-system")
        assert keyboard.types(*system, *SILENT, "--force") == 0
        assert keyboard.app("coredns").namespace == "kube-system"
    finally:
        cluster.run(lambda it: it.store.remove(DEPLOYMENTS, "kube-system", "coredns"))


@pytest.mark.parametrize(
    ("more", "chosen", "why"),
    [
        (("--container", "NS/cart=proxy"), "proxy", "you named proxy"),
        ((), "cart", "cart has the Deployment's name"),
    ],
)
def test_one_container_of_several_is_chosen_for_a_reason(
    keyboard: Keyboard, more: tuple[str, ...], chosen: str, why: str
) -> None:
    keyboard.seed(deployment(keyboard.namespace, "cart", "proxy", "cart"))
    assert keyboard.reads(*(word.replace("NS", keyboard.namespace) for word in more)) == 0
    assert keyboard.app("cart").container == chosen
    assert why in keyboard.out


def test_the_default_container_of_kubectl_is_taken(keyboard: Keyboard) -> None:
    notes = {"kubectl.kubernetes.io/default-container": "web"}
    keyboard.seed(deployment(keyboard.namespace, "cart", "proxy", "web", notes=notes))
    assert keyboard.reads() == 0
    assert keyboard.app("cart").container == "web"


def test_an_app_without_its_container_can_be_uncommented(keyboard: Keyboard) -> None:
    at = keyboard.namespace
    keyboard.seed(deployment(at, "hello"), deployment(at, "cart", "web", "proxy"))
    assert keyboard.reads() == 0
    text = (keyboard.folder / CATALOG).read_text()
    (keyboard.folder / CATALOG).write_text(text.replace("# cart: {", "cart: {"))
    assert keyboard.app("cart").container == "web"
    assert "# or proxy" in text


def test_a_deployment_that_helm_manages_is_taken_with_a_warning(keyboard: Keyboard) -> None:
    keyboard.seed(deployment(keyboard.namespace, "hello", annotations=HELM))
    assert keyboard.reads() == 0
    assert "managed by Helm (meta.helm.sh/release-name: shop): releases are refused" in keyboard.out
    text = (keyboard.folder / CATALOG).read_text()
    assert keyboard.app("hello").settings.managed_elsewhere == "refuse"
    (keyboard.folder / CATALOG).write_text(text.replace("# managed_elsewhere", "managed_elsewhere"))
    assert keyboard.app("hello").settings.managed_elsewhere == "warn"


def test_two_deployments_of_one_name_become_two_apps(keyboard: Keyboard) -> None:
    other = f"other-{keyboard.namespace}"
    keyboard.seed(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}},
        deployment(keyboard.namespace, "hello"),
        deployment(other, "hello"),
    )
    assert keyboard.reads("--namespace", other) == 0
    apps = load_catalog(keyboard.folder / CATALOG).apps
    assert {name: (app.namespace, app.deployment) for name, app in apps.items()} == {
        f"{keyboard.namespace}-hello": (keyboard.namespace, "hello"),
        f"{other}-hello": (other, "hello"),
    }


@pytest.mark.parametrize("name", ["no", "on", "y", "null", "1e3", "0x1", "hello-" + "x" * 56])
def test_any_name_of_a_deployment_can_be_written(keyboard: Keyboard, name: str) -> None:
    keyboard.seed(deployment(keyboard.namespace, name, "web"))
    assert keyboard.reads() == 0, keyboard.err
    (app,) = load_catalog(keyboard.folder / CATALOG).apps.values()
    assert app.deployment == name
    (written,) = keyboard.read(VALUES)["catalog"]["apps"]
    assert isinstance(written, str)


# --- answers --------------------------------------------------------------------------------------


def test_what_no_flag_says_is_asked(keyboard: Keyboard) -> None:
    keyboard.seed(deployment(keyboard.namespace, "hello"))
    answers = [str(keyboard.kubeconfig), "C0RELEASES", "U0DEV1 S0DEV", "", "registry:5000/bots"]
    assert keyboard.types("--namespace", keyboard.namespace, answers=answers) == 0, keyboard.err
    catalog = keyboard.read(CATALOG)
    assert catalog["access"]["roles"]["deployer"] == {"users": ["U0DEV1"], "groups": ["S0DEV"]}
    assert catalog["defaults"]["channel"] == "C0RELEASES"
    assert keyboard.read(VALUES)["image"]["repository"] == "registry:5000/bots"
    assert "Kubeconfig of the cluster" in keyboard.err and "Kubeconfig" not in keyboard.out


def test_apps_can_be_named_without_a_cluster(keyboard: Keyboard) -> None:
    assert keyboard.types(*SILENT, answers=["", "shop/hello shop/cart"]) == 0, keyboard.err
    assert keyboard.read(CATALOG)["clusters"] == {"production": {"in_cluster": True}}
    assert set(load_catalog(keyboard.folder / CATALOG).apps) == {"hello", "cart"}
    assert "No cluster was read: you named the apps." in keyboard.out


def test_without_answers_the_defaults_are_taken(keyboard: Keyboard) -> None:
    assert keyboard.types("--app", "shop/hello") == 0, keyboard.err
    catalog = keyboard.read(CATALOG)
    assert catalog["access"] == {
        "channels": [],
        "roles": {"viewer": {"everyone": True}, "deployer": {}, "approver": {}, "admin": {}},
    }
    assert "Name who may deploy" in keyboard.out


def test_no_kubeconfig_is_ever_found_by_itself(
    keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(keyboard.kubeconfig))
    monkeypatch.setenv("HOME", str(keyboard.folder))
    assert keyboard.types(*SILENT) == 2
    assert keyboard.err.endswith(
        "no answer to “Kubeconfig of the cluster (empty: none, you name the Deployments)”: give"
        " --kubeconfig FILE, or --app NAMESPACE/DEPLOYMENT\n"
    )


def test_one_of_several_contexts_must_be_named(keyboard: Keyboard) -> None:
    keyboard.seed(deployment(keyboard.namespace, "hello"))
    document = yaml.safe_load(keyboard.kubeconfig.read_text())
    document["contexts"].append({**document["contexts"][0], "name": "arn:aws:eks:1:cluster/Shop"})
    two = keyboard.folder / "two"
    two.write_text(yaml.safe_dump(document))
    here = ("--kubeconfig", str(two), "--namespace", keyboard.namespace, *SILENT)
    assert keyboard.types(*here) == 2
    assert "give --context NAME" in keyboard.err and "now sandbox" in keyboard.err
    assert keyboard.types(*here, "--context", "sandbx") == 2
    assert "has no context `sandbx`; did you mean `sandbox`?" in keyboard.err
    assert keyboard.types(*here, answers=["arn:aws:eks:1:cluster/Shop"]) == 0, keyboard.err
    assert keyboard.read(CATALOG)["clusters"] == {
        "shop": {"kubeconfig": "./two", "context": "arn:aws:eks:1:cluster/Shop"}
    }


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [CATALOG, MANIFEST, VALUES])
def test_nothing_is_overwritten_without_force(keyboard: Keyboard, name: str) -> None:
    (keyboard.folder / name).write_text("mine")
    assert keyboard.types("--app", "shop/hello", *SILENT) == 2
    assert f"{name} in {keyboard.folder}: nothing is overwritten without --force" in keyboard.err
    assert [path.name for path in keyboard.folder.iterdir()] == [name]
    assert (keyboard.folder / name).read_text() == "mine"
    assert keyboard.types("--app", "shop/hello", *SILENT, "--force") == 0
    assert (keyboard.folder / name).read_text() != "mine"


def test_no_secret_of_the_kubeconfig_is_written(keyboard: Keyboard) -> None:
    keyboard.seed(deployment(keyboard.namespace, "hello"))
    token = yaml.safe_load(keyboard.kubeconfig.read_text())["users"][0]["user"]["token"]
    assert keyboard.reads() == 0
    written = [(keyboard.folder / name).read_text() for name in (CATALOG, MANIFEST, VALUES)]
    assert not [text for text in (*written, keyboard.out, keyboard.err) if token in text]


def test_the_next_steps_name_the_cluster_and_the_files(keyboard: Keyboard) -> None:
    keyboard.seed(deployment(keyboard.namespace, "hello"))
    assert keyboard.reads() == 0
    steps = keyboard.out.partition("\nNext:\n")[2]
    assert [line[:4] for line in re.findall(r"^ +\d\..*$", steps, re.MULTILINE)] == [
        f"  {number}." for number in range(1, 6)
    ]
    here = f"--kubeconfig {keyboard.folder}/kubeconfig"
    assert f"kubectl {here} --context sandbox create namespace pilothouse" in steps
    assert f"helm {here} --kube-context sandbox install pilothouse helm/pilothouse" in steps
    assert "--from-file=bot-token --from-file=app-token" in steps
    assert "`/deploy hello VERSION dry-run`" in steps


def test_a_single_person_is_told_that_approvals_need_another(keyboard: Keyboard) -> None:
    words = ("--app", "shop/hello", "--deployer", "U0DEV1", "--channel", "C0RELEASES", *CHART)
    assert keyboard.types(*words) == 0
    text = (keyboard.folder / CATALOG).read_text()
    (keyboard.folder / CATALOG).write_text(text.replace("# approvals:", "approvals:"))
    assert keyboard.app("hello").settings.approvals.requester_may_approve


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--app", "hello"], "`hello` is not NAMESPACE/DEPLOYMENT, such as shop/hello"),
        (["--app", "shop/Hello"], "`Hello` is not a Kubernetes name"),
        (["--app", "a/b", "--context", "x"], "--context needs --kubeconfig FILE"),
        (["--kubeconfig", "/nowhere"], "/nowhere cannot be read: No such file or directory"),
        (["--kubeconfig", __file__], "is not a kubeconfig"),
        (["--app", "a/b", "--channel", "#ops"], "`#ops` is not a channel ID (C…)"),
        (["--app", "a/b", "--deployer", "ann"], "`ann` is not a member ID (U…)"),
        (["--app", "a/b", "--url", "http://x"], "`http://x` is not an address such as https://"),
        (["--app", "a/b", "--url", "https://x", "--socket-mode"], "are both given: keep one"),
        (["--app", "a/b", "--image", "a b"], "`a b` is not an image repository without a tag"),
        (["--app", "a/b", "--commands", "deply"], "no command `deply`. Did you mean `deploy`?"),
    ],
)
def test_bad_input_gets_one_line(keyboard: Keyboard, words: list[str], line: str) -> None:
    assert keyboard.types(*words) == 2
    *_, last = keyboard.err.splitlines()
    assert "pilothouse init: " in last and line in last, keyboard.err
    assert keyboard.out == "" and keyboard.wrote_nothing


def test_a_wrong_answer_gets_one_line(keyboard: Keyboard) -> None:
    assert keyboard.types("--app", "shop/hello", answers=["releases"]) == 2
    assert "--channel: `releases` is not a channel ID" in keyboard.err


def test_in_a_terminal_a_wrong_answer_is_asked_for_again(keyboard: Keyboard) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, b"releases\nC0RELEASES\nU0DEV1\n\n\n")
    words = ["--app", "shop/hello", "--directory", str(keyboard.folder)]
    with os.fdopen(terminal, encoding="utf-8") as source, os.fdopen(controller, "wb"):
        assert main(words, source) == 0
    said = keyboard.capsys.readouterr().err
    assert said.count("Channel for cards and commands") == 2
    assert "  `releases` is not a channel ID" in said
    assert keyboard.read(CATALOG)["access"]["channels"] == ["C0RELEASES"]


def test_a_namespace_or_deployment_that_is_not_there_is_named(keyboard: Keyboard) -> None:
    keyboard.seed(deployment(keyboard.namespace, "hello"))
    here = ("--kubeconfig", str(keyboard.kubeconfig), *SILENT)
    assert keyboard.types(*here, "--namespace", f"{keyboard.namespace}-") == 2
    assert keyboard.types(*here, "--namespace", f"{keyboard.namespace}x") == 1
    assert f"did you mean `{keyboard.namespace}`?" in keyboard.err
    assert keyboard.types(*here, "--app", f"{keyboard.namespace}/helo") == 2
    assert f"did you mean `{keyboard.namespace}/hello`?" in keyboard.err
    assert keyboard.reads("--container", f"{keyboard.namespace}/hello=web") == 2
    assert "has no container `web`, only hello" in keyboard.err
    assert keyboard.wrote_nothing


def test_an_empty_namespace_is_reported_and_nothing_is_written(keyboard: Keyboard) -> None:
    keyboard.seed()
    assert keyboard.reads() == 1
    assert "no Deployment was found that a release could be about" in keyboard.err
    assert keyboard.wrote_nothing


def test_a_cluster_that_does_not_answer_is_one_line(keyboard: Keyboard) -> None:
    document = yaml.safe_load(keyboard.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    away = keyboard.folder / "away"
    away.write_text(yaml.safe_dump(document))
    assert keyboard.types("--kubeconfig", str(away), *SILENT) == 1
    assert keyboard.err.splitlines() == [
        "pilothouse init: the API server http://127.0.0.1:1 refuses connections"
    ]


def test_who_may_not_list_everywhere_is_told_to_name_namespaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SimulatedCluster() as cluster:
        token = cluster.service_account_token("default", "reader")
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", token)
        words = ["--kubeconfig", str(kubeconfig), "--directory", str(tmp_path), *SILENT]
        assert main(words, io.StringIO()) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot list" in line and line.endswith("name those that it may read with --namespace")
