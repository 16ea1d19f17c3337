"""Twenty thousand random walks of releases, with other hands in the cluster.

Seeds come from WALKS_SEED (a number of your own walks elsewhere); each failure names its walk.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import cache
from itertools import takewhile

import pytest

from bot.releases.facts.changes import Deploy, Restart, Scale, Undo
from bot.releases.facts.release import Phase
from tests.builders import a_template
from tests.transitions import test_canary_walks as canary
from tests.transitions import test_rolling_walks as rolling
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.walk import Walk
from tests.transitions.hands import HandsInTheCluster, pin
from tests.variations import quick

SEED = os.environ.get("WALKS_SEED", "15")
BATCHES, WALKS, FEW = 40, 500, 2


def webhook(walk: Walk) -> Walk:
    walk.cluster.webhook = pin
    return walk


SCENES: dict[str, Callable[[], Walk]] = {
    "canary": lambda: canary.a_walk(),
    "canary that shifts": lambda: canary.a_walk(
        canary.a_hello(replicas=4), canary={"mode": "shift", "steps": (25, 50)}
    ),
    "sticky canary": canary.sticky,
    "canary, autoscaled": canary.with_autoscaler,
    "canary, webhook": lambda: webhook(canary.a_walk()),
    "rolling": lambda: rolling.a_walk(Deploy("2.0.0")),
    "rolling, webhook": lambda: webhook(rolling.a_walk(Deploy("2.0.0"))),
    "scale up": lambda: rolling.a_walk(Scale(5)),
    "scale down": lambda: rolling.a_walk(Scale(1)),
    "restart": lambda: rolling.a_walk(Restart()),
    "undo": lambda: rolling.a_walk(Undo(template=a_template("0.9.0"))),
    "blue/green": scenes.plain,
    "blue/green, two Services": scenes.two_services,
    "blue/green, version label": scenes.by_version_label,
    "blue/green, probe": scenes.with_probe,
    "blue/green, autoscaled": scenes.with_autoscaler,
    "blue/green, webhook": lambda: webhook(scenes.plain()),
    "blue/green, kept": scenes.kept,
}


@cache
def moments(scene: str) -> tuple[Walk, ...]:
    """Up to its end, or to what a webhook's change makes of it."""
    whole = SCENES[scene]().moments()
    return tuple(takewhile(lambda walk: walk.release.phase is not Phase.DRIFTED, whole))


def walk_from(seed: str) -> None:
    chance = random.Random(seed)
    scene = chance.choice(tuple(SCENES))
    hands = HandsInTheCluster(chance.choice(moments(scene)).fork(), chance)
    try:
        hands.run()
    except AssertionError as failed:
        raise AssertionError(f"walk {seed}, {scene}: {failed}") from failed


@pytest.mark.parametrize("batch", quick(range(BATCHES), at_most=FEW))
def test_releases_keep_their_promises_among_other_hands(batch: int) -> None:
    walks = WALKS // 25 if batch < FEW else WALKS * BATCHES // (BATCHES - FEW) + 1
    print(f"seeds {SEED}-{batch}-0 to {SEED}-{batch}-{walks - 1}")
    for number in range(walks):
        walk_from(f"{SEED}-{batch}-{number}")


@pytest.mark.parametrize("seed", ["15-29-71", "15-33-2", "15-3-21", "15-4-144"])
def test_a_walk_that_broke_a_promise_once_keeps_it(seed: str) -> None:
    """Green that shared its Service went while stable was not whole; a template that admission
    changes was written again without end; a stable that another release had claimed was raised."""
    walk_from(seed)
