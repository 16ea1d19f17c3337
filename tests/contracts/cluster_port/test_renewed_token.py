"""A token file that is renewed while a release runs, at a server that refuses the old token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from bot.cluster import KubernetesCluster
from bot.releases.facts.release import Phase, Release
from sandbox.cluster import SimulatedCluster
from sandbox.cluster.api_server.access import ADMIN_TOKEN
from tests.builders import a_canary, a_target, rules_with
from tests.contracts.cluster_port.conftest import Lab, deployment, service
from tests.contracts.cluster_port.test_requests_of_a_release import run_to_the_end

CANARY = {"hold_ms": 400, "promote": "automatic", "steps": (50,)}


def with_token_file(kubeconfig: Path, token: Path) -> Path:
    document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    document["users"][0]["user"] = {"tokenFile": str(token)}
    path = kubeconfig.with_name("by-file")
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_a_token_renewed_while_a_canary_holds_disturbs_nothing(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(ADMIN_TOKEN, encoding="utf-8")
    renewed_at: list[Phase] = []
    troubles: set[str] = set()
    with SimulatedCluster(ready_after=0.1, jitter=0.02, stop_after=0.05) as simulation:
        kubeconfig = simulation.kubeconfig(tmp_path / "kubeconfig")
        lab = Lab(KubernetesCluster(kubeconfig=str(kubeconfig)), "default", kubeconfig)
        lab.create("deployments", deployment(replicas=2))
        lab.create("services", service())
        lab.settled()

        def renew(release: Release) -> None:
            if release.unreachable is not None:
                troubles.add(release.unreachable.why)
            if release.phase is Phase.HOLDING and not renewed_at:
                (tmp_path / "next").write_text("renewed", encoding="utf-8")
                (tmp_path / "next").rename(token)
                simulation.run(lambda core: core.access.replace_token(ADMIN_TOKEN, "renewed"))
                renewed_at.append(release.phase)

        ended = run_to_the_end(
            KubernetesCluster(kubeconfig=str(with_token_file(kubeconfig, token))),
            replace(a_canary(rules=rules_with(canary=CANARY)), target=a_target(container="hello")),
            renew,
        )
    assert renewed_at == [Phase.HOLDING]
    assert ended.phase is Phase.SUCCEEDED, ended.cause
    assert not troubles
