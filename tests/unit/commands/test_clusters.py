"""Which clusters a command means: `/deploy` and what steers it mean all of an app's, or those that
`in=` names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.commands.model import DeployCommand, Mistake, RolloutCommand
from bot.commands.parse import parse
from bot.commands.table import KnownNames

KNOWN = KnownNames(
    ("shop", "cart"),
    ("shop",),
    ("eu", "us-east", "us-west", "lab"),
    clusters_of={"shop": ("eu", "us-east", "us-west"), "cart": ("eu",)},
    labels={"eu": {"region": "eu"}, "us-east": {"region": "us"}, "us-west": {"region": "us"}},
)


def meant(text: str) -> tuple[str | None, tuple[str, ...]]:
    command = parse(text, KNOWN)
    assert isinstance(command, DeployCommand | RolloutCommand), command
    return command.cluster, command.clusters


@pytest.mark.parametrize(
    ("text", "cluster", "clusters"),
    [
        ("deploy shop 2.0.0", None, ("eu", "us-east", "us-west")),
        ("deploy shop 2.0.0 in=us-east,eu", None, ("eu", "us-east")),
        ("deploy shop 2.0.0 in=region:us", None, ("us-east", "us-west")),
        ("deploy shop 2.0.0 in=region:us,eu", None, ("eu", "us-east", "us-west")),
        ("deploy shop 2.0.0 in=region:eu", "eu", ()),
        ("deploy shop 2.0.0 in=us-east", "us-east", ()),
        ("deploy cart 2.0.0", None, ()),
        ("rollout undo shop", None, ("eu", "us-east", "us-west")),
        ("rollout abort shop", None, ("eu", "us-east", "us-west")),
        ("rollout promote shop in=eu", "eu", ()),
    ],
)
def test_a_deploy_means_all_clusters_or_those_that_it_names(
    text: str, cluster: str | None, clusters: tuple[str, ...]
) -> None:
    assert meant(text) == (cluster, clusters)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("deploy shop 2.0.0 in=eu,us-est", "shop is not in `us-est`. Did you mean `in=us-east`?"),
        (
            "deploy shop 2.0.0 in=region:use",
            "shop is not in `region:use`. Did you mean `in=region:us`?",
        ),
        (
            "deploy shop 2.0.0 in=eu,nowhere-near",
            "shop is not in `nowhere-near`. Choose `eu`, `us-east`, `us-west`, `region:eu` or",
        ),
        ("scale shop 5 in=eu,us-east", "`in=` takes one cluster. Write `in=eu`, `in=us-east` or"),
        ("rollout restart shop", "shop is in eu, us-east and us-west. Which one?"),
    ],
)
def test_clusters_that_are_not_the_apps_are_one_line(text: str, line: str) -> None:
    mistake = parse(text, KNOWN)
    assert isinstance(mistake, Mistake) and mistake.line.startswith(line)


def test_in_the_thread_of_one_clusters_card_a_deploy_means_that_cluster() -> None:
    command = parse("deploy 2.0.0", replace(KNOWN, at="us-east"))
    assert isinstance(command, DeployCommand)
    assert (command.cluster, command.clusters) == ("us-east", ())
