"""A fleet release, decision by decision: the order of its waves, what stops them, and what
continues without a cluster."""

from __future__ import annotations

import pytest

from bot.releases.engine.gates import open_gate
from bot.releases.facts.events import EventKind
from bot.releases.facts.fleet import Wave
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Approve, Finish, Promote, Resume
from bot.releases.fleet.decide import AWAY_MS
from tests.builders import DEVELOPER, MANAGER, MINUTE, rules_with
from tests.transitions.fleets import CANARY, FINAL_IMAGE, FleetWalk, a_fleet_release, kinds

DAY = 24 * 60 * MINUTE
SIDE_BY_SIDE = (Wave(("eu",)), Wave(("us", "onprem")))


def promote(walk: FleetWalk) -> str:
    gate, plan = open_gate(walk.release), walk.release.plan
    assert gate is not None and plan is not None
    return walk.ask(Approve(MANAGER, gate.name, plan.hash))


def test_without_waves_one_cluster_follows_the_other() -> None:
    walk = FleetWalk(a_fleet_release())
    for cluster in ("eu", "us", "onprem"):
        walk.tick(times=3)
        assert walk.log[-1] == f"begin {cluster}"
        walk.succeeds(cluster)
    walk.tick(times=2)
    assert walk.log == ["begin eu", "begin us", "begin onprem"]
    assert walk.stands() is Phase.SUCCEEDED
    assert walk.texts[-1] == "shop is on 2.0.0 in eu, us, onprem"


def test_the_clusters_of_a_wave_begin_together_and_the_next_waits_for_the_last() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu", "us")), Wave(("onprem",))))
    walk.tick()
    assert walk.log == ["begin eu", "begin us"]
    walk.succeeds("eu")
    walk.tick(times=5)
    assert walk.log == ["begin eu", "begin us"]
    walk.succeeds("us")
    walk.tick(times=2)
    assert walk.log[-1] == "begin onprem"


def test_a_wave_is_over_when_its_clusters_show_it_and_not_when_a_record_says_so() -> None:
    walk = FleetWalk(a_fleet_release())
    walk.tick()
    walk.succeeds("eu")
    walk.incomplete.add("eu")
    walk.tick(times=5)
    assert walk.log == ["begin eu"]
    walk.incomplete.clear()
    walk.tick(times=2)
    assert walk.log == ["begin eu", "begin us"]


def test_a_wave_soaks_before_the_next_begins() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",), soak_ms=30 * MINUTE), Wave(("us",))))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=2)
    assert walk.stands() is Phase.HOLDING
    walk.tick(after_ms=29 * MINUTE)
    assert walk.log == ["begin eu"]
    walk.tick(after_ms=2 * MINUTE, times=2)
    assert walk.log == ["begin eu", "begin us"]


def test_a_person_ends_a_soak_early() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",), soak_ms=30 * MINUTE), Wave(("us",))))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=2)
    assert walk.ask(Promote(MANAGER)) == ""
    walk.tick(times=2)
    assert walk.log == ["begin eu", "begin us"]


def test_another_version_in_a_soaking_cluster_asks_and_begins_no_wave() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",), soak_ms=30 * MINUTE), Wave(("us",))))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=2)
    walk.images["eu"] = "hello:3.0.0"
    walk.tick(after_ms=MINUTE)
    assert walk.stands() is Phase.PAUSED
    assert "eu runs 3.0.0 now, brought by something else" in walk.texts[-1]
    walk.tick(after_ms=60 * MINUTE)
    assert walk.log == ["begin eu"]
    assert walk.ask(Resume(DEVELOPER)) == ""
    walk.tick()
    walk.tick(after_ms=31 * MINUTE, times=2)
    assert walk.log == ["begin eu", "begin us"]


def test_the_next_wave_waits_for_an_approval() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",), then="approval"), Wave(("us",))))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=3)
    assert walk.stands() is Phase.AWAITING_PROMOTION
    gate = open_gate(walk.release)
    assert isinstance(gate, ApprovalGate) and gate.title == "bring shop 2.0.0 to us"
    assert walk.log == ["begin eu"]
    assert promote(walk) == ""
    walk.tick(times=2)
    assert walk.log == ["begin eu", "begin us"]


def test_an_approval_for_other_waves_is_void() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",), then="approval"), Wave(("us",))))
    other = a_fleet_release(Wave(("eu",), then="approval"), Wave(("us", "onprem")))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=3)
    assert other.plan is not None
    assert "plan of shop-1 changed" in walk.ask(Approve(MANAGER, "wave", other.plan.hash))


def test_the_fleet_asks_once_for_the_gate_of_all_parts_of_a_wave() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu", "us")), Wave(("onprem",)), change=CANARY))
    walk.tick(times=2)
    walk.stands_at("eu", "promote")
    walk.tick(times=2)
    assert walk.stands() is Phase.PROGRESSING  # us is still on its way
    walk.stands_at("us", "promote")
    walk.tick(times=2)
    assert walk.stands() is Phase.AWAITING_PROMOTION
    assert kinds(walk.events).count(EventKind.GATE_OPENED) == 1
    promote(walk)
    walk.tick(times=3)
    assert walk.log[2:] == ["approve part-eu", "approve part-us"]
    for name in ("part-eu", "part-us"):
        gate = walk.parts[name].progress.gate
        assert gate is not None and [vote.by for vote in gate.votes] == [MANAGER]


def test_each_wave_asks_for_its_own_promotion() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("us",)), change=CANARY))
    walk.tick(times=2)
    walk.stands_at("eu", "promote")
    walk.tick()
    promote(walk)
    walk.tick(times=2)
    walk.succeeds("eu")
    walk.tick(times=3)
    walk.stands_at("us", "promote")
    walk.tick(times=2)
    assert walk.stands() is Phase.AWAITING_PROMOTION
    assert "approve part-us" not in walk.log


def test_the_start_is_approved_once_for_all_parts() -> None:
    rules = rules_with(approvals={"start": 1})
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("us",)), rules=rules))
    walk.tick(times=3)
    assert walk.stands() is Phase.AWAITING_APPROVAL and walk.log == []
    promote(walk)
    walk.tick(times=2)
    walk.stands_at("eu", "start")
    walk.tick()
    assert walk.log == ["begin eu", "approve part-eu"]


def test_a_part_that_asks_for_more_asks_by_itself() -> None:
    walk = FleetWalk(a_fleet_release(change=CANARY))
    walk.tick(times=2)
    walk.stands_at("eu", "downtime")
    walk.tick(times=3)
    assert walk.stands() is Phase.PROGRESSING
    assert EventKind.GATE_OPENED not in kinds(walk.events)


def test_a_failing_part_stops_the_later_waves_and_asks() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("us",))))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=2)
    walk.fails("us")
    walk.tick(times=3)
    assert walk.stands() is Phase.PAUSED
    assert walk.texts[-1].startswith("half the fleet is on 2.0.0 (eu), not us: part-us in us")
    assert "crashed" in walk.texts[-1]


def test_parts_beside_a_failing_one_come_to_their_end_before_people_are_asked() -> None:
    walk = FleetWalk(a_fleet_release(*SIDE_BY_SIDE))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=2)
    walk.fails("us")
    walk.tick(times=3)
    assert walk.stands() is Phase.PROGRESSING
    walk.succeeds("onprem")
    walk.tick()
    assert walk.stands() is Phase.PAUSED
    assert "2 of 3 clusters are on 2.0.0 (eu, onprem), not us" in walk.texts[-1]


def test_finish_leaves_the_fleet_as_it_is_and_names_the_state() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("us",))))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=2)
    assert "does not ask" in walk.ask(Finish(DEVELOPER, reason="us is being replaced"))
    walk.fails("us")
    walk.tick()
    assert walk.ask(Finish(DEVELOPER, reason="us is being replaced")) == ""
    assert walk.stands() is Phase.ABORTED
    assert walk.texts[-1] == (
        "finished by developer: us is being replaced; 2.0.0 stays in eu, not in us"
    )


def test_a_cluster_that_runs_the_version_already_needs_no_part() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("us",))))
    walk.images["eu"] = FINAL_IMAGE
    walk.tick(times=2)
    assert walk.log == ["begin us"]
    assert "eu runs 2.0.0 already" in walk.texts
    walk.fails("us")
    walk.tick()
    walk.ask(Abort(DEVELOPER))
    walk.tick(times=2)
    assert walk.log == ["begin us"]  # the way back leaves what this fleet did not bring
    assert walk.stands() is Phase.ABORTED


# --- clusters that do not answer ------------------------------------------------------------------


def test_a_wave_waits_for_a_cluster_that_does_not_answer() -> None:
    walk = FleetWalk(a_fleet_release(*SIDE_BY_SIDE))
    walk.tick()
    walk.succeeds("eu")
    walk.loses_cluster("onprem")
    walk.tick(times=3)
    assert walk.log == ["begin eu", "begin us"]
    walk.succeeds("us")
    walk.tick(after_ms=DAY, times=3)
    assert walk.stands() is Phase.PROGRESSING
    walk.finds_cluster("onprem")
    walk.tick(times=2)
    assert walk.log[-1] == "begin onprem"
    assert "onprem does not answer: timed out" in walk.texts
    assert "onprem answers again" in walk.texts


def test_a_skipped_cluster_is_never_shown_as_done_and_catches_up_when_it_answers() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("onprem",), unreachable="skip")))
    walk.loses_cluster("onprem")
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=5)
    assert not walk.stands().is_final
    assert walk.fleet.is_catching_up
    assert walk.texts[-1] == "done but for onprem"
    walk.finds_cluster("onprem")
    walk.tick(times=2)
    assert walk.log[-1] == "begin onprem"
    walk.succeeds("onprem")
    walk.tick(times=2)
    assert walk.stands() is Phase.SUCCEEDED


def test_a_part_that_failed_before_its_cluster_went_away_is_asked_about_and_not_skipped() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",), unreachable="skip"), Wave(("us",))))
    walk.tick(times=2)
    walk.fails("eu")
    walk.loses_cluster("eu")
    walk.tick(after_ms=AWAY_MS, times=2)
    assert walk.stands() is Phase.PAUSED
    assert "part-eu in eu" in walk.texts[-1]


def test_a_part_that_fails_as_it_catches_up_is_asked_about_once() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("onprem",), unreachable="skip")))
    walk.loses_cluster("onprem")
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=3)
    walk.finds_cluster("onprem")
    walk.tick(times=2)
    walk.fails("onprem")
    walk.tick()
    assert walk.stands() is Phase.PAUSED
    walk.ask(Resume(DEVELOPER))
    walk.tick(times=2)
    assert walk.stands() is Phase.FAILED
    assert walk.texts[-1] == "shop is on 2.0.0 in eu, not in onprem"


def test_a_cluster_that_answers_too_late_catches_up_only_with_consent() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",)), Wave(("onprem",), unreachable="skip")))
    walk.loses_cluster("onprem")
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=3)
    walk.tick(after_ms=25 * 60 * MINUTE)
    walk.finds_cluster("onprem")
    walk.tick(times=2)
    assert walk.stands() is Phase.PAUSED and walk.log == ["begin eu"]
    walk.ask(Resume(DEVELOPER))
    walk.tick(times=2)
    assert walk.log == ["begin eu", "begin onprem"]


def test_a_wave_that_stops_for_an_unreachable_cluster_asks() -> None:
    walk = FleetWalk(a_fleet_release(Wave(("eu",), unreachable="stop"), Wave(("us",))))
    walk.loses_cluster("eu")
    walk.tick(times=2)
    assert walk.stands() is Phase.PAUSED and walk.log == []
    assert "eu does not answer (timed out)" in walk.texts[-1]
    walk.ask(Resume(DEVELOPER))
    walk.tick(times=3)
    assert walk.log == ["begin us"]


@pytest.mark.parametrize(
    ("rule", "phase", "last"),
    [("wait", Phase.PROGRESSING, "begin eu"), ("skip", Phase.PROGRESSING, "begin us"),
     ("stop", Phase.PAUSED, "begin eu")],
)  # fmt: skip
def test_a_cluster_that_goes_away_in_its_part_follows_the_rule_of_its_wave(
    rule: str, phase: Phase, last: str
) -> None:
    wave = Wave(("eu",), unreachable=rule)  # type: ignore[arg-type]
    walk = FleetWalk(a_fleet_release(wave, Wave(("us",))))
    walk.tick(times=2)
    walk.loses_cluster("eu")
    walk.tick(times=3)
    assert walk.log == ["begin eu"] and walk.stands() is Phase.PROGRESSING
    walk.tick(after_ms=AWAY_MS, times=3)
    assert (walk.stands(), walk.log[-1]) == (phase, last)
