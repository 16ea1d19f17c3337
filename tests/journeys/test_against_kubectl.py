"""`/rollout status`, `history` and `undo --to-revision` beside kubectl's, on the same Deployments:
they agree in every state.

kubectl is the reference; its binary is built with the control plane, so tests on both clusters need
it.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import Ground, Journey, objects_of

pytestmark = pytest.mark.control_plane

LATE = '{{"spec":{{"progressDeadlineSeconds":1}}}}'
UNREADY = "set image deployment/{app} {app}=pilothouse/{app}:unready"
NEXT = "set image deployment/{app} {app}=pilothouse/{app}:2.0.0"
UNTIL_HALF = "(until it is half-rolled)"

# A change with kubectl, and how kubectl's sentence about it then begins
# ({app} is the Deployment).
WAITING = 'Waiting for deployment "{app}" rollout to finish: '
STATES: dict[str, tuple[tuple[str, ...], str]] = {
    "settled": ((), 'deployment "{app}" successfully rolled out'),
    "paused": (("rollout pause deployment/{app}",), 'deployment "{app}" successfully rolled out'),
    "paused before a change": (
        ("rollout pause deployment/{app}", NEXT),
        WAITING + "0 out of 5 new replicas have been updated...",
    ),
    "half-rolled": (
        (UNREADY,),
        WAITING + "3 out of 5 new replicas have been updated...",
    ),
    "half-rolled and paused": (
        (UNREADY, UNTIL_HALF, "rollout pause deployment/{app}"),
        WAITING + "3 out of 5 new replicas have been updated...",
    ),
    "failed": (
        ("patch deployment {app} --type=merge -p " + LATE, UNREADY),
        'deployment "{app}" exceeded its progress deadline',
    ),
    "scaled to zero": (
        ("scale deployment/{app} --replicas=0",),
        'deployment "{app}" successfully rolled out',
    ),
    "changed at zero": (
        ("scale deployment/{app} --replicas=0", NEXT),
        'deployment "{app}" successfully rolled out',
    ),
    "without a ready pod": (
        ("scale deployment/{app} --replicas=0", UNREADY, "scale deployment/{app} --replicas=5"),
        WAITING + "0 of 5 updated replicas are available...",
    ),
}


@dataclass
class Kubectl:
    """As a person at a terminal, in the namespace of the apps."""

    binary: Path
    kubeconfig: Path

    def __call__(self, words: str) -> str:
        """What it prints, errors included: for a failed rollout kubectl prints its sentence as an
        error."""
        command: list[str | Path] = [
            self.binary,
            "--kubeconfig",
            self.kubeconfig,
            "--namespace",
            "default",
            *words.split(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return str(done.stdout or done.stderr.removeprefix("error: ")).strip()


@pytest.fixture
def kubectl(control_plane_binaries: Path, ground: Ground) -> Kubectl:
    return Kubectl(control_plane_binaries / "kubectl", ground.kubeconfig)


def _prepare(journey: Journey, kubectl: Kubectl, app: str, state: str) -> None:
    commands, sentence = STATES[state]
    for words in commands:
        if words is UNTIL_HALF:
            journey.until(lambda: "3 out of 5" in _status(kubectl, app), "half-rolled")
        else:
            kubectl(words.format(app=app))
    wanted = sentence.format(app=app)
    journey.until(lambda: _status(kubectl, app) == wanted, f"{app} {state}")


def _status(kubectl: Kubectl, app: str) -> str:
    return kubectl(f"rollout status deployment/{app} --watch=false")


@pytest.mark.parametrize("state", STATES)
def test_status_matches_kubectl_word_for_word(
    journey: Journey, kubectl: Kubectl, state: str
) -> None:
    _prepare(journey, kubectl, journey.app, state)
    journey.say("/rollout status {app}")
    told = journey.sees("UP-TO-DATE")
    assert STATES[state][1].format(app=journey.app) == _status(kubectl, journey.app)
    assert _status(kubectl, journey.app) in told


@pytest.mark.parametrize(
    "state",
    [
        "settled",
        "after an undo",
        "half-rolled and paused",
        "failed",
        "scaled to zero",
        "changed at zero",
    ],
)
def test_history_lists_the_revisions_and_causes_of_kubectl(
    journey: Journey, kubectl: Kubectl, state: str
) -> None:
    _three_revisions(journey, kubectl, journey.app)
    if state == "after an undo":
        kubectl(f"rollout undo deployment/{journey.app} --to-revision=1")
        journey.until(lambda: _revision(journey.deployment()) == "4", "the undo")
    else:
        _prepare(journey, kubectl, journey.app, state)
    printed = [
        line.split(maxsplit=1)
        for line in kubectl(f"rollout history deployment/{journey.app}").splitlines()[2:]
    ]
    assert len(printed) >= 3
    journey.say("/rollout history {app}")
    told = html.unescape(journey.sees(r"{app}: revisions of deployment {app}"))
    rows = {line.split()[0]: line for line in told.splitlines() if line[:1].isdigit()}
    assert list(rows) == [number for number, _ in printed]
    for number, cause in printed:
        assert cause in rows[number]
        image = re.findall(
            r"Image:\s*(\S+)",
            kubectl(f"rollout history deployment/{journey.app} --revision={number}"),
        )[0]
        assert image in rows[number]
    current = next(number for number, line in rows.items() if "(current)" in line)
    assert current == journey.deployment().metadata.annotations["deployment.kubernetes.io/revision"]


@pytest.mark.parametrize(
    "state", ["settled", "half-rolled", "failed", "scaled to zero", "without a ready pod"]
)
def test_undo_to_a_revision_matches_kubectl(journey: Journey, kubectl: Kubectl, state: str) -> None:
    twin = f"{journey.app}-twin"
    journey.deployments.create_namespaced_deployment("default", objects_of(twin, 5)[0])
    for app in (journey.app, twin):
        _three_revisions(journey, kubectl, app)
        _prepare(journey, kubectl, app, state)
    assert "rolled back" in kubectl(f"rollout undo deployment/{twin} --to-revision=1")
    journey.say("/rollout undo {app} --to-revision 1")
    journey.until(
        lambda: "successfully rolled out" in _status(kubectl, twin), "the twin rolled back"
    )
    journey.sees(r"{app} is on 1\.0\.0")
    ours, theirs = _outcome(journey, journey.app), _outcome(journey, twin)
    assert ours == theirs
    assert "deployment.kubernetes.io/revision-history=1" in str(ours), (
        "the old ReplicaSet is used again"
    )


def test_a_paused_deployment_that_kubectl_refuses_to_undo_is_undone(
    journey: Journey, kubectl: Kubectl
) -> None:
    _three_revisions(journey, kubectl, journey.app)
    kubectl(f"rollout pause deployment/{journey.app}")
    assert "cannot rollback a paused deployment; resume it first" in kubectl(
        f"rollout undo deployment/{journey.app} --to-revision=1"
    )
    journey.say("/rollout undo {app} --to-revision 1")
    journey.sees(r"{app} is on 1\.0\.0")
    assert journey.versions() == {"1.0.0": 5}


def test_both_refuse_a_missing_revision_and_the_current_one_changes_nothing(
    journey: Journey, kubectl: Kubectl
) -> None:
    _three_revisions(journey, kubectl, journey.app)
    assert "unable to find specified revision 9 in history" in kubectl(
        f"rollout undo deployment/{journey.app} --to-revision=9"
    )
    journey.say("/rollout undo {app} --to-revision 9")
    journey.sees(r"{app} has no revision 9. It has 3, 2, 1")
    assert "skipped rollback (current template already matches revision 3)" in kubectl(
        f"rollout undo deployment/{journey.app} --to-revision=3"
    )
    journey.say("/rollout undo {app} --to-revision 3")
    journey.sees(r"{app} already runs that template \(3\.0\.0\)\. There is nothing to undo")
    assert _revision(journey.deployment()) == "3"


def _three_revisions(journey: Journey, kubectl: Kubectl, app: str) -> None:
    """1.0.0, 2.0.0 and 3.0.0, the first without a cause."""
    for version in ("2.0.0", "3.0.0"):
        change = {
            "metadata": {"annotations": {"kubernetes.io/change-cause": f"to {version} by hand"}},
            "spec": {
                "template": {
                    "spec": {"containers": [{"name": app, "image": f"pilothouse/{app}:{version}"}]}
                }
            },
        }
        journey.deployments.patch_namespaced_deployment(
            app, "default", change, field_manager="kubectl-edit"
        )
        journey.until(
            lambda: "successfully rolled out" in _status(kubectl, app), f"{app} on {version}"
        )


def _revision(item: Any) -> str:
    return str(item.metadata.annotations["deployment.kubernetes.io/revision"])


def _outcome(journey: Journey, app: str) -> Any:
    """The Deployment's template and the state of each ReplicaSet, without names."""
    found = journey.deployment(app)
    owned = [
        one
        for one in journey.deployments.list_namespaced_replica_set(
            "default", label_selector=f"app={app}"
        ).items
        if one.metadata.owner_references[0].uid == found.metadata.uid
    ]
    notes = ("deployment.kubernetes.io/revision", "deployment.kubernetes.io/revision-history")
    sets = [
        [_revision(one), one.spec.replicas, one.spec.template.spec.containers[0].image]
        + [f"{note}={one.metadata.annotations.get(note)}" for note in notes]
        for one in sorted(owned, key=lambda one: int(_revision(one)))
    ]
    template = journey.api.sanitize_for_serialization(found.spec.template)
    return json.loads(
        re.sub(
            rf"\b{app}\b",
            "APP",
            json.dumps([template, _revision(found), found.spec.replicas, sets]),
        )
    )
