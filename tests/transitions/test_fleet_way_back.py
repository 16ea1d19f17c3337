"""The way back of a fleet: the order of waves reversed, and what is passed over and named."""

from __future__ import annotations

from bot.releases.facts.changes import Undo
from bot.releases.facts.fleet import Wave
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Reject
from tests.builders import DEVELOPER, MANAGER, a_template
from tests.transitions.fleets import FleetWalk, a_fleet_release

WAVES = (Wave(("eu", "us")), Wave(("onprem",)))


def a_walk_to_a_failure() -> FleetWalk:
    walk = FleetWalk(a_fleet_release(*WAVES))
    walk.tick()
    walk.succeeds("eu")
    walk.succeeds("us")
    walk.tick(times=2)
    walk.fails("onprem")
    walk.tick()
    assert walk.stands() is Phase.PAUSED
    return walk


def test_roll_back_all_takes_the_parts_of_a_wave_side_by_side() -> None:
    walk = a_walk_to_a_failure()
    walk.ask(Abort(DEVELOPER))
    walk.tick(times=3)
    assert walk.log[-2:] == ["undo eu", "undo us"]
    walk.goes_back("eu")
    walk.goes_back("us")
    walk.tick(times=2)
    assert walk.stands() is Phase.ABORTED
    assert walk.texts[-1] == "shop is back on 1.0.0 in eu, us, onprem"


def test_waves_go_back_in_reverse_order() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("us",)), Wave(("onprem",))))
    for cluster in ("eu", "us"):
        walk.tick(times=2)
        walk.succeeds(cluster)
    walk.tick(times=2)
    walk.ask(Abort(DEVELOPER, reason="errors"))
    walk.tick(times=3)
    assert walk.log[-2:] == ["abort part-onprem", "undo us"]
    assert "undo eu" not in walk.log
    walk.goes_back("us")
    walk.tick(times=2)
    assert walk.log[-1] == "undo eu"
    assert "rolling back all: onprem, then us, then eu" in walk.texts


def test_each_part_returns_to_what_this_fleet_found_there() -> None:
    walk = a_walk_to_a_failure()
    walk.ask(Abort(DEVELOPER))
    walk.tick(times=2)
    assert walk.parts["back-eu"].change == Undo(template=a_template())


def test_what_something_else_brought_since_is_left_and_named() -> None:
    walk = a_walk_to_a_failure()
    walk.images["eu"] = "hello:3.0.0"
    walk.ask(Abort(DEVELOPER))
    walk.tick(times=3)
    assert "undo eu" not in walk.log
    walk.goes_back("us")
    walk.tick(times=2)
    assert walk.stands() is Phase.FAILED
    assert "eu was left: it runs 3.0.0, which something else brought" in walk.texts[-1]


def test_an_unreachable_part_is_queued_and_passed_over() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("us",)), Wave(("onprem",))))
    for cluster in ("eu", "us"):
        walk.tick(times=2)
        walk.succeeds(cluster)
    walk.tick(times=2)
    walk.fails("onprem")
    walk.tick()
    walk.loses_cluster("us")
    walk.ask(Abort(DEVELOPER))
    walk.tick(times=3)
    assert walk.log[-1] == "undo eu"
    walk.goes_back("eu")
    walk.tick(times=3)
    assert walk.stands() is Phase.ROLLING_BACK
    walk.finds_cluster("us")
    walk.tick(times=2)
    assert walk.log[-1] == "undo us"
    walk.goes_back("us")
    walk.tick(times=2)
    assert walk.stands() is Phase.ABORTED


def test_a_way_back_that_fails_is_named_and_stops_no_other() -> None:
    walk = a_walk_to_a_failure()
    walk.ask(Abort(DEVELOPER))
    walk.tick(times=2)
    walk.goes_back("us")
    walk.back_fails("eu")
    walk.tick(times=2)
    assert walk.stands() is Phase.FAILED
    assert "back on 1.0.0 in us, onprem; eu was left: back-eu failed" in walk.texts[-1]


def test_an_abort_before_any_part_began_ends_it_at_once() -> None:
    walk = FleetWalk(a_fleet_release())
    walk.ask(Abort(DEVELOPER))
    assert walk.stands() is Phase.ABORTED


def test_a_rejected_promotion_takes_all_back() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",), then="approval"), Wave(("us",))))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=3)
    assert walk.release.plan is not None
    walk.ask(Reject(MANAGER, "wave", walk.release.plan.hash))
    walk.tick(times=2)
    assert walk.log[-1] == "undo eu"
    walk.goes_back("eu")
    walk.tick(times=2)
    assert walk.stands() is Phase.REJECTED


def test_a_second_roll_back_is_refused() -> None:
    walk = a_walk_to_a_failure()
    walk.ask(Abort(DEVELOPER))
    assert "already rolling back" in walk.ask(Abort(DEVELOPER))
