"""`/apply` beside releases, other hands and an API server that goes away: what is confirmed is what
is written, in its turn. The real adapter and operations against the simulated API server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from bot.cluster import KubernetesCluster
from bot.commands.model import ApplyCommand
from bot.operations.context import App, Catalog, Context
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.operations.queries.keep_query import peek_query
from bot.operations.queries.run_query import run_query
from bot.policy.permissions import Access, Grant, Role
from bot.ports import Applied, ClusterUnreachable, ObjectChange
from bot.query import Query
from bot.releases.facts.changes import Deploy
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Approve
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from bot.slack.blocks.rendering import SlackRendering
from sandbox.cluster import SimulatedCluster
from tests.builders import DEVELOPER, MANAGER, a_query, a_release, rules_with
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab, deployment, service
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

Json = dict[str, Any]
NEVER = "never"


def config(name: str, text: str = "one") -> Json:
    meta = {"name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"text": text}}


def greeting(text: str) -> Json:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = text
    return body


class InterruptedCluster(KubernetesCluster):
    """``before``: what happens right before a write that `/apply` was allowed."""

    def __init__(self, kubeconfig: str) -> None:
        super().__init__(kubeconfig=kubeconfig)
        self.before: Callable[[str], None] = lambda name: None

    def apply_manifests(
        self,
        target: Target,
        manifests: Sequence[Mapping[str, Any]],
        *,
        skip_template_of: str,
        may_write: Callable[[ObjectChange], bool],
    ) -> Applied:
        def asked(change: ObjectChange) -> bool:
            allowed = may_write(change)
            if allowed:
                self.before(change.name)
            return allowed

        return super().apply_manifests(
            target, manifests, skip_template_of=skip_template_of, may_write=asked
        )


@dataclass
class Desk:
    """The lab's app and its manifests, as the catalog has them."""

    lab: Lab
    cluster: InterruptedCluster
    rules: Rules = field(default_factory=Rules)
    manifests: list[Json] = field(default_factory=list)
    store: InMemoryReleaseStore = field(default_factory=InMemoryReleaseStore)
    messenger: RecordingMessenger = field(default_factory=RecordingMessenger)

    def __post_init__(self) -> None:
        self.target = replace(
            self.lab.target,
            cluster="local",
            images=("kelseyhightower/hello", "kelseyhightower/auth"),
        )

    def load(
        self, folder: str, manifests: Sequence[str], files: Mapping[str, Any]
    ) -> tuple[Json, ...]:
        return tuple(self.manifests)

    @property
    def context(self) -> Context:
        app = App(self.target, self.rules, "C0RELEASES", Strategy.ROLLING, ("hello.yaml",))
        access = Access(
            frozenset(),
            {
                Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user})),
                Role.APPROVER: Grant(users=frozenset({MANAGER.user})),
            },
        )
        return Context(
            self.store,
            self.store.queue,
            cast(Any, {"local": self.cluster}),
            self.messenger,
            InMemoryDirectory(),
            Catalog({"hello": app}, ("local",), access),
            SlackRendering(),
            cast(Any, self),
            digest_key=b"key",
        )

    def shows(self) -> Query:
        """What the button under the diff carries."""
        run_query(self.context, a_query(ApplyCommand("hello"), dedup_key="typed"))
        (token,) = re.findall(r"\b[0-9a-f]{32}\b", repr(self.messenger.sent[-1].message))
        query = peek_query(self.context, "confirm", token)
        assert query is not None
        return query

    def confirms(self, query: Query) -> str:
        """The release that the click started, else the reply."""
        before = set(self.store.active_ids())
        run_query(self.context, query)
        made = set(self.store.active_ids()) - before
        return made.pop() if made else self.messenger.sent[-1].message.text

    def deploys(self, version: str) -> str:
        draft = a_release(Deploy(version), target=self.target, rules=self.rules, id="")
        made = self.store.create(draft, dedup_key="", same_as="", operation=version)
        return made.release.id

    def ticks(self, release_id: str, until: Callable[[Release], bool]) -> Release:
        def is_there() -> bool:
            advance_release(self.context, release_id)
            return until(self.store.load(release_id))

        assert eventually(is_there, 10), self.store.load(release_id)
        return self.store.load(release_id)

    def ends(self, release_id: str) -> Release:
        return self.ticks(release_id, lambda release: release.phase.is_final)

    def said(self, release_id: str) -> str:
        announced, _ = self.store.outbox(release_id)
        return "\n".join(one.event.text for one in announced)

    def audited(self) -> list[str]:
        lines = self.store.audit(limit=100)
        return [line.text for line in lines if line.text.startswith("apply ConfigMap")][::-1]

    def text_of(self, name: str) -> str:
        found = self.cluster.connection.existing(self.lab.path("configmaps", name))
        return found["data"]["text"] if found else NEVER

    def container(self) -> Json:
        found: Json = self.lab.read("deployments", "hello")
        return found["spec"]["template"]["spec"]["containers"][0]  # type: ignore[no-any-return]


@pytest.fixture
def desk(simulation: SimulatedCluster, tmp_path: Path) -> Desk:
    kubeconfig = simulation.kubeconfig(tmp_path / "kubeconfig")
    cluster = InterruptedCluster(str(kubeconfig))
    lab = Lab(cluster, "default", kubeconfig)
    lab.target = replace(lab.target, container="hello")
    cluster.apply_manifests(
        lab.target,
        [deployment(), service()],
        skip_template_of="hello",
        may_write=lambda change: True,
    )
    lab.settled()
    return Desk(lab, cluster)


def test_objects_and_template_are_applied_by_one_release(desk: Desk) -> None:
    desk.manifests = [greeting("good morning"), service(), config("first")]
    release = desk.ends(desk.confirms(desk.shows()))
    assert release.phase is Phase.SUCCEEDED
    assert desk.container()["env"][0]["value"] == "good morning"
    assert desk.text_of("first") == "one"
    assert "ConfigMap first created" in desk.said(release.id).splitlines()[-1]
    assert desk.audited().count("apply ConfigMap default/first") == 1


def test_an_apply_confirmed_during_a_deploy_keeps_the_deployed_version(desk: Desk) -> None:
    desk.manifests = [greeting("good morning"), config("first")]
    query = desk.shows()
    deploy = desk.deploys("2.0.0")
    desk.ticks(deploy, lambda release: release.phase is Phase.PROGRESSING)
    applying = desk.confirms(query)
    advance_release(desk.context, applying)
    assert desk.text_of("first") == NEVER, "its turn has not come"
    assert desk.ends(deploy).phase is Phase.SUCCEEDED
    assert desk.ends(applying).phase is Phase.SUCCEEDED
    assert desk.container()["image"].endswith(":2.0.0")
    assert desk.container()["env"][0]["value"] == "good morning"


def test_what_changed_while_the_apply_waited_stops_it(desk: Desk) -> None:
    desk.manifests = [greeting("good morning"), config("first")]
    query = desk.shows()
    deploy = desk.deploys("2.0.0")
    advance_release(desk.context, deploy)
    applying = desk.confirms(query)
    desk.ends(deploy)
    desk.manifests[1] = config("first", "two")
    release = desk.ends(applying)
    assert release.phase is Phase.FAILED
    assert "nothing was applied: ConfigMap default/first changed" in desk.said(applying)
    assert desk.text_of("first") == NEVER and desk.audited() == []


def test_nothing_is_written_before_the_approval(desk: Desk) -> None:
    desk.rules = rules_with(approvals={"promote": 1}, own_strategy=Strategy.CANARY)
    desk.manifests = [config("first")]
    applying = desk.confirms(desk.shows())
    waiting = desk.ticks(applying, lambda release: release.phase is Phase.AWAITING_APPROVAL)
    advance_release(desk.context, applying)
    assert desk.text_of("first") == NEVER
    assert waiting.plan is not None and isinstance(waiting.plan.start[0], ApprovalGate)
    control_release(
        desk.context, applying, Approve(MANAGER, "start", waiting.plan.hash), "Approved."
    )
    assert desk.ends(applying).phase is Phase.SUCCEEDED
    assert desk.text_of("first") == "one"


def test_what_is_set_beside_the_template_is_no_drift(desk: Desk) -> None:
    calm = greeting("good morning")
    calm["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    calm["spec"]["minReadySeconds"] = 0
    desk.manifests = [calm]
    release = desk.ends(desk.confirms(desk.shows()))
    assert release.phase is Phase.SUCCEEDED
    found = desk.lab.read("deployments", "hello")["spec"]
    assert found["strategy"]["rollingUpdate"]["maxSurge"] == 1


def test_an_api_server_that_goes_away_in_the_middle_is_reported_and_continued(
    desk: Desk,
) -> None:
    desk.manifests = [config("first"), config("second"), config("third")]
    applying = desk.confirms(desk.shows())
    away = True

    def goes_away(name: str) -> None:
        if name == "second" and away:
            raise ClusterUnreachable("no answer within 3 s")

    desk.cluster.before = goes_away
    desk.ticks(applying, lambda release: desk.text_of("first") == "one")
    advance_release(desk.context, applying)
    said = desk.said(applying)
    assert said.count("trying again: no answer within 3 s") == 1
    assert "ConfigMap first created; not applied: ConfigMap default/second" in said
    away = False
    assert desk.ends(applying).phase is Phase.SUCCEEDED
    assert desk.text_of("third") == "one"
    assert desk.audited() == [f"apply ConfigMap default/{n}" for n in ("first", "second", "third")]


def test_an_abort_in_the_middle_says_what_was_applied(desk: Desk) -> None:
    desk.manifests = [config("first"), config("second")]
    applying = desk.confirms(desk.shows())

    def aborts(name: str) -> None:
        if name == "second":
            raise ClusterUnreachable("no answer")

    desk.cluster.before = aborts
    desk.ticks(applying, lambda release: "trying again" in desk.said(applying))
    control_release(desk.context, applying, Abort(DEVELOPER), "Aborted.")
    assert desk.ends(applying).phase is Phase.ABORTED
    assert "Applied before: ConfigMap first created; not applied: ConfigMap default/second" in (
        desk.said(applying)
    )


def test_a_change_right_before_the_write_stops_it(desk: Desk) -> None:
    desk.lab.create("configmaps", config("first", "zero"), manager="pilothouse-apply")
    desk.manifests = [config("first")]
    applying = desk.confirms(desk.shows())

    def edits(name: str) -> None:
        label = {"metadata": {"labels": {"by": "hand"}}, "data": {"text": "by hand"}}
        desk.lab.edit("configmaps", name, label, manager="pilothouse")

    desk.cluster.before = edits
    release = desk.ends(applying)
    assert release.phase is Phase.FAILED
    assert "ConfigMap default/first changed since it was shown" in desk.said(applying)
    assert desk.text_of("first") == "by hand"


def test_an_app_that_does_not_exist_is_created(desk: Desk) -> None:
    desk.lab.delete("deployments", "hello")
    desk.manifests = [deployment(), config("first")]
    release = desk.ends(desk.confirms(desk.shows()))
    assert release.phase is Phase.SUCCEEDED
    assert desk.lab.settled().replicas == 2
    assert "Deployment hello created" in desk.said(release.id)


def test_an_app_whose_releases_need_an_approval_is_created_by_an_admin(desk: Desk) -> None:
    desk.rules = rules_with(approvals={"start": 1})
    desk.lab.delete("deployments", "hello")
    desk.manifests = [deployment()]
    release = desk.ends(desk.confirms(desk.shows()))
    assert release.phase is Phase.FAILED
    assert "Only an admin may create it" in desk.said(release.id)
