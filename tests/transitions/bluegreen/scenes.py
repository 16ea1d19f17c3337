"""The apps that blue/green is tried on, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bot.releases.facts.observation import AutoscalerSeen, Survey
from bot.releases.facts.release import Release
from bot.releases.facts.rules import ProbeRules
from tests.builders import SECOND, a_bluegreen, a_rolling_update, a_target, a_template, rules_with
from tests.transitions.bluegreen.modelled_cluster import Deployment, ModelledCluster
from tests.transitions.bluegreen.walk import Walk

VERSIONED = {"app": "hello", "track": "stable", "version": "1.0.0"}


def a_blue(
    labels: Mapping[str, str] | None = None,
    *,
    name: str = "hello",
    version: str = "1.0.0",
    replicas: int = 3,
    **facts: Any,
) -> Deployment:
    return Deployment(
        name,
        f"uid-{name}",
        a_template(version, labels=labels),
        replicas,
        facts.pop("selector", {"matchLabels": {"app": "hello"}}),
        labels={"app": "hello"},
        annotations={"team": "greeting", "kubernetes.io/change-cause": f"by hand to {version}"},
        **facts,
    )


def a_hand_made_green(version: str = "2.0.0", *, replicas: int = 3) -> Deployment:
    """As the lab has it: the same labels but for the version, which its own selector holds."""
    labels = {"app": "hello", "track": "stable", "version": version}
    return a_blue(labels, name="hello-green", version=version, replicas=replicas,
                  selector={"matchLabels": {"app": "hello", "version": version}})  # fmt: skip


def a_release_of(
    *,
    services: tuple[str, ...] = ("hello",),
    version_label: str | None = None,
    version: str = "2.0.0",
    probe: ProbeRules | None = None,
    **bluegreen: Any,
) -> Release:
    target = a_target(services=services, version_label=version_label)
    rules = rules_with(bluegreen={"rollback_window_ms": 40 * SECOND, **bluegreen}, probe=probe)
    return a_bluegreen(version, target=target, rules=rules)


def plain() -> Walk:
    return Walk(ModelledCluster(a_blue(), services={"hello": {"app": "hello"}}), a_release_of())


def by_version_label() -> Walk:
    """The Service's own selector holds the version."""
    cluster = ModelledCluster(
        a_blue(VERSIONED), services={"hello": {"app": "hello", "version": "1.0.0"}}
    )
    return Walk(cluster, a_release_of(version_label="version"))


def version_label_beside() -> Walk:
    """The version label follows the image, but no Service selects by it."""
    return Walk(
        ModelledCluster(a_blue(VERSIONED), services={"hello": {"app": "hello"}}),
        a_release_of(version_label="version"),
    )


def two_services() -> Walk:
    cluster = ModelledCluster(
        a_blue({"app": "hello", "tier": "web"}),
        services={"hello": {"app": "hello"}, "hello-internal": {"app": "hello", "tier": "web"}},
    )
    return Walk(cluster, a_release_of(services=("hello", "hello-internal")))


def two_services_by_version() -> Walk:
    """One Service holds the version in its selector, the other does not: the key is the one both
    share."""
    cluster = ModelledCluster(
        a_blue(VERSIONED),
        services={
            "hello": {"app": "hello", "version": "1.0.0"},
            "hello-internal": {"app": "hello"},
        },
    )
    return Walk(
        cluster, a_release_of(services=("hello", "hello-internal"), version_label="version")
    )


def one_replica_without_surge() -> Walk:
    """A roll of it alone would leave nobody."""
    blue = a_blue(replicas=1, strategy=a_rolling_update(0, 1))
    return Walk(ModelledCluster(blue, services={"hello": {"app": "hello"}}), a_release_of())


def with_preview() -> Walk:
    return Walk(
        ModelledCluster(a_blue(), services={"hello": {"app": "hello"}}), a_release_of(preview=True)
    )


def with_probe() -> Walk:
    return Walk(
        ModelledCluster(a_blue(), services={"hello": {"app": "hello"}}),
        a_release_of(probe=ProbeRules(requests=3)),
    )


def with_autoscaler() -> Walk:
    survey = Survey(autoscalers=(AutoscalerSeen("hello", "hello", 2, 9),))
    return Walk(
        ModelledCluster(a_blue(), services={"hello": {"app": "hello"}}, survey=survey),
        a_release_of(),
    )


def hand_made_pair() -> Walk:
    cluster = ModelledCluster(
        a_blue(VERSIONED),
        a_hand_made_green(),
        services={"hello": {"app": "hello", "version": "1.0.0"}},
    )
    return Walk(cluster, a_release_of(version_label="version"))


def hand_made_pair_without_a_label_in_the_catalog() -> Walk:
    """The Service holds the version, and the catalog does not know that labels follow images: the
    key stays as it was."""
    cluster = ModelledCluster(
        a_blue(VERSIONED),
        a_hand_made_green(),
        services={"hello": {"app": "hello", "version": "1.0.0"}},
    )
    return Walk(cluster, a_release_of())


def hand_made_pair_kept() -> Walk:
    walk = hand_made_pair()
    return Walk(walk.cluster, a_release_of(version_label="version", settle="keep"))


def kept() -> Walk:
    return Walk(
        ModelledCluster(a_blue(), services={"hello": {"app": "hello"}}), a_release_of(settle="keep")
    )


SCENES: dict[str, Callable[[], Walk]] = {
    scene.__name__: scene
    for scene in (
        plain,
        by_version_label,
        version_label_beside,
        two_services,
        two_services_by_version,
        one_replica_without_surge,
        with_preview,
        with_probe,
        with_autoscaler,
        hand_made_pair,
        hand_made_pair_without_a_label_in_the_catalog,
        hand_made_pair_kept,
        kept,
    )
}
SETTLING = tuple(name for name in SCENES if "kept" not in name and "hand_made" not in name)
