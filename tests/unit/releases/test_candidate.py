from __future__ import annotations

from bot.releases.planning.as_found import deployment_as_found
from bot.releases.planning.candidate import body_as_found
from tests.builders import a_bluegreen, a_deployment, a_rolling_update, a_template


def test_a_lost_adopted_candidate_is_recreated_as_found_but_inert() -> None:
    labels = {"app": "hello", "version": "2.0.0"}
    green = a_deployment(
        "hello-green",
        a_template("2.0.0", labels=labels),
        selector={"matchLabels": labels},
        strategy=a_rolling_update(2, 0),
        min_ready_seconds=7,
        progress_deadline_seconds=90,
        labels={"team": "a"},
        annotations={
            "note": "by hand",
            "deployment.kubernetes.io/revision": "4",
            "pilothouse.dev/release": "hello-42",
        },
    )
    body = body_as_found(deployment_as_found(green), a_bluegreen())
    assert body["metadata"] == {
        "name": "hello-green", "namespace": "default", "labels": {"team": "a"},
        "annotations": {"note": "by hand", "pilothouse.dev/release": "hello-42"},
    }  # fmt: skip
    assert body["spec"] == {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": green.template,
        "strategy": a_rolling_update(2, 0),
        "minReadySeconds": 7,
        "progressDeadlineSeconds": 90,
    }
