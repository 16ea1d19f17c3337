"""Whole fleet releases, with outages, failures and people at any moment: each comes to its end, in
the order of its waves."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.releases.facts.fleet import Wave
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Finish, Pause, PersonsRequest, Resume
from bot.releases.fleet.decide import AWAY_MS
from tests.builders import DEVELOPER, MINUTE
from tests.transitions.fleets import CLUSTERS, FOUND_IMAGE, FleetWalk, a_fleet_release

ENDS_WITHIN = 60
WAVES = st.sampled_from([(("eu",), ("us", "onprem")), (("eu", "us"), ("onprem",)),
                         (("eu",), ("us",), ("onprem",)), (("eu", "us", "onprem"),)])  # fmt: skip
RULES = st.sampled_from(["wait", "skip", "stop"])
HAPPENINGS = st.sampled_from(
    ["tick", "tick", "tick", "later", "succeeds", "fails", "away", "back", "changed", "resume",
     "pause", "abort", "finish", "undone"]
)  # fmt: skip
STEPS = st.lists(st.tuples(HAPPENINGS, st.sampled_from(CLUSTERS)), max_size=40)


ASKED: dict[str, PersonsRequest] = {
    "resume": Resume(DEVELOPER),
    "pause": Pause(DEVELOPER),
    "abort": Abort(DEVELOPER),
    "finish": Finish(DEVELOPER, reason="enough"),
}


def happens(walk: FleetWalk, what: str, cluster: str) -> None:
    part, undo = walk.parts.get(f"part-{cluster}"), walk.parts.get(f"back-{cluster}")
    is_running = part is not None and not part.phase.is_final
    if what in ASKED:
        walk.ask(ASKED[what])
    elif what == "succeeds" and is_running:
        walk.succeeds(cluster)
    elif what == "fails" and is_running:
        walk.fails(cluster)
    elif what == "undone" and undo is not None and not undo.phase.is_final:
        walk.goes_back(cluster)
    elif what == "away":
        walk.loses_cluster(cluster)
    elif what == "back":
        walk.finds_cluster(cluster)
    elif what == "changed" and not is_running:
        walk.images[cluster] = "hello:3.0.0"
    walk.tick(after_ms=AWAY_MS + MINUTE if what == "later" else 1_000)


def comes_to_its_end(walk: FleetWalk) -> None:
    """Every cluster answers, every part succeeds, and people continue."""
    for _ in range(ENDS_WITHIN):
        if walk.stands().is_final:
            return
        for cluster in CLUSTERS:
            happens(walk, "back", cluster)
            happens(walk, "undone", cluster)
            happens(walk, "succeeds", cluster)
        happens(walk, "resume", "eu")
        happens(walk, "later", "eu")
    raise AssertionError(f"{walk.stands()} after {walk.log}: {walk.texts[-3:]}")


def is_behind(walk: FleetWalk, cluster: str) -> bool:
    """Done, or left behind by a rule or by a person."""
    part = walk.fleet.part(cluster)
    tolerated = " ".join(walk.release.tolerated)
    by_person = f"{cluster} away" in tolerated or f"{part.release} failed" in tolerated
    return part.state == "done" or part.is_skipped or by_person


@settings(max_examples=120, deadline=None)
@given(waves=WAVES, rule=RULES, soak=st.sampled_from([0, 30 * MINUTE]), steps=STEPS)
def test_a_fleet_ends_and_keeps_the_order_of_its_waves(
    waves: tuple[tuple[str, ...], ...], rule: str, soak: int, steps: list[tuple[str, str]]
) -> None:
    planned = [Wave(one, unreachable=rule) for one in waves]  # type: ignore[arg-type]
    planned[0] = replace(planned[0], soak_ms=soak)
    walk = FleetWalk(a_fleet_release(*planned))
    for what, cluster in steps:
        before, was_back = len(walk.log), walk.release.rollback is not None
        happens(walk, what, cluster)
        for line in walk.log[before:]:
            word, _, name = line.partition(" ")
            if word == "begin":
                assert not was_back, "nothing begins on the way back"
                earlier = waves[: walk.fleet.wave_of(name)]
                assert all(is_behind(walk, one) for wave in earlier for one in wave)
    comes_to_its_end(walk)
    begun = [line for line in walk.log if line.startswith(("begin", "undo"))]
    assert len(begun) == len(set(begun)), "each part begins once, and goes back once"
    if walk.stands() is Phase.SUCCEEDED:
        assert all(one.state == "done" for one in walk.fleet.parts)
    if walk.stands() is Phase.ABORTED and walk.release.rollback is not None:
        assert all(walk.images[one] in (FOUND_IMAGE, "hello:3.0.0") for one in CLUSTERS)
