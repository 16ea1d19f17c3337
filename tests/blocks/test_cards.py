"""What people see of a release, against the goldens and the local Slack's reading of Slack's
rules."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bot.policy.permission_table import BUTTONS
from bot.ports import Message
from bot.releases.facts.causes import Judgement, Verdict
from bot.releases.facts.changes import Change, Reapply, Restart, Scale, Undo
from bot.releases.facts.counters import Counts
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.plan import Condition
from bot.releases.facts.release import Phase, Progress, Release, Rollback, StepTime
from bot.slack.blocks.announcements import announcement
from bot.slack.blocks.buttons import ACTION_PREFIX, buttons_of, restored
from bot.slack.blocks.card import bar, card
from bot.slack.blocks.plan import plan_message
from bot.slack.blocks.steps import step_items
from bot.slack.blocks.timeline import timeline_lines
from bot.slack.blocks.words import headline, title_words
from sandbox.slack.block_rules import check_message_blocks
from tests.blocks.golden import FOLDER, file_of, shown
from tests.blocks.stories import (
    CANARY,
    CARDS,
    EVENTS,
    GREEN,
    HOLDING,
    NOW,
    PROMOTING,
    ROLLED_BACK,
    ROLLING,
    SUCCEEDED,
    messages,
)
from tests.builders import SECOND, T0, a_release, rules_with

MESSAGES = messages()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_each_message_matches_its_golden(name: str) -> None:
    assert shown(MESSAGES[name]) == file_of(name).read_text(encoding="utf-8"), (
        "python -m tests.blocks.golden rewrites it: review the difference"
    )


def test_every_golden_belongs_to_a_message() -> None:
    assert {path.name for path in FOLDER.glob("*.txt")} == {file_of(name).name for name in MESSAGES}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_slack_takes_each_kind_of_message(name: str) -> None:
    message = MESSAGES[name]
    assert message.text
    assert check_message_blocks([dict(block) for block in message.blocks]).problems == []


def test_the_first_line_says_what_how_far_and_what_it_needs() -> None:
    assert headline(PROMOTING) == "Deploy hello 1.0.0 → 2.0.0 canary · 50% · waiting for approval"
    assert card(PROMOTING, now=NOW).text.startswith(headline(PROMOTING))


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_a_card_in_words(phase: Phase) -> None:
    message = card(
        replace(PROMOTING, phase=phase, finished_at=NOW if phase.is_final else 0), now=NOW
    )
    assert len(message.text.split(" · ")[-1]) > 3
    assert check_message_blocks([dict(block) for block in message.blocks]).problems == []


@pytest.mark.parametrize(
    "name",
    [name for name, one in CARDS.items() if one.phase.is_final and one.fleet is None],
)
def test_an_ended_card_offers_the_way_back_or_once_more(name: str) -> None:
    labels = [button["text"]["text"] for button in _buttons(card(CARDS[name], now=NOW))]
    way = "Roll back" if CARDS[name].phase is Phase.SUCCEEDED else "Retry…"
    assert labels in ([way], [way, "Pods"], [way, "Compare", "Pods"])


def test_an_ended_card_keeps_its_steps_with_their_durations() -> None:
    shown = str(card(ROLLED_BACK, now=NOW).blocks)
    assert "Roll hello to 2.0.0, stopped · 59 s" in shown and "Back to 1.0.0 · 1 s" in shown


@pytest.mark.parametrize(
    ("release", "label", "title", "words"),
    [
        (PROMOTING, "Promote", "Promote: 2.0.0 for everyone?", "hello 1.0.0 → 2.0.0"),
        (PROMOTING, "Abort", "Abort: hello stays on 1.0.0", "The 3 canary pods of 2.0.0"),
    ],
)
def test_what_changes_production_is_confirmed_with_its_consequence(
    release: Release, label: str, title: str, words: str
) -> None:
    buttons = {str(one["text"]): one for one in _buttons(card(release, now=NOW))}
    asked = next(str(one["confirm"]) for text, one in buttons.items() if f"'{label}'" in text)
    assert title in asked and words in asked


def test_the_catalog_may_drop_the_question_before_a_promotion() -> None:
    rules = rules_with(approvals={"confirm": False})
    (promote,) = (
        one
        for one in buttons_of(replace(PROMOTING, rules=rules))
        if one["text"]["text"] == "Promote"
    )
    assert "confirm" not in promote


def test_the_way_back_of_a_running_release_is_not_delayed() -> None:
    (back,) = (
        one
        for one in buttons_of(CARDS["bluegreen in its rollback window"])
        if one["text"]["text"] == "Roll back"
    )
    assert "confirm" not in back


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("rolling", ["Pause", "Abort"]),
        ("canary waiting for approval", ["Promote", "Reject", "Pause", "Abort"]),
        ("bluegreen waiting for the switch", ["Switch", "Reject", "Pause", "Abort"]),
        ("bluegreen in its rollback window", ["Finish now", "Roll back"]),
        ("paused by a failure", ["Resume", "Abort"]),
        ("drifted", ["Adopt", "Abort"]),
        ("rolling back", []),
        ("queued behind another", ["Replace", "Cancel"]),
    ],
)
def test_a_phase_offers_only_the_buttons_that_fit_it(name: str, labels: list[str]) -> None:
    assert [button["text"]["text"] for button in buttons_of(CARDS[name])] == labels


@pytest.mark.parametrize(
    "release",
    [r for r in CARDS.values() if buttons_of(r)],
    ids=lambda r: f"{r.phase.value}-{r.strategy.value}",
)
def test_a_button_names_release_gate_and_plan_and_never_a_command(release: Release) -> None:
    for button in buttons_of(release):
        assert set(json.loads(button["value"])) - {"step", "front", "asks"} == {
            "release",
            "gate",
            "plan",
        }
        assert "deploy" not in button["value"]
        assert button["action_id"].removeprefix(ACTION_PREFIX) in BUTTONS


def test_dangerous_buttons_ask_for_confirmation() -> None:
    for release in (ROLLING, PROMOTING, GREEN, CARDS["queued behind another"]):
        for button in buttons_of(release):
            if button.get("style") == "danger" and button["text"]["text"] not in (
                "Reject",
                "Roll back",
            ):  # the first opens a form, the second is for emergencies
                assert button["confirm"]["deny"]["text"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("canary waiting for approval", "waiting for approval"),
        ("canary holding", "holding until"),
        ("canary holding", "14%"),
        ("bluegreen in its rollback window", "rollback window"),
        ("paused by a person", "since"),
        ("crash loop that does not count yet", "CrashLoopBackOff"),
    ],
)
def test_a_card_says_its_state_once(name: str, said: str) -> None:
    blocks = card(CARDS[name], now=NOW).blocks
    texts = "\n".join(block["text"]["text"] for block in blocks if block["type"] == "section")
    assert texts.lower().count(said.lower()) == 1


def test_what_the_planner_noted_is_on_the_card_only_while_people_decide_on_it() -> None:
    note = "20% was asked"
    asking = replace(PROMOTING, phase=Phase.AWAITING_APPROVAL, progress=Progress(-1, T0))
    assert note in str(card(asking, now=NOW).blocks)
    assert note not in str(card(PROMOTING, now=NOW).blocks)


COUNTED = Judgement(
    T0 + 60 * SECOND,
    Verdict.BAD,
    "2.1% of 940 requests failed on 2.0.0; 0.1% of 8,800 on 1.0.0",
    candidate=(940, 20),
    stable=(8_800, 9),
    link="https://prometheus.example.com/graph?g0.expr=sum",
)


def test_a_verdict_by_metrics_leads_to_its_query_on_card_and_in_thread() -> None:
    release = replace(HOLDING, judgements=(COUNTED,))
    event = Event(T0, EventKind.JUDGED, f"bad: {COUNTED.detail}")
    posted = announcement(release, event)
    assert posted is not None
    for message in (card(release, now=T0), posted[0]):
        shown_link = f"<{COUNTED.link}|query in Prometheus>"
        assert shown_link in json.dumps(message.blocks, ensure_ascii=False)
        assert COUNTED.detail in message.text


def test_a_card_says_why_no_metrics_come() -> None:
    away = Counts("errors", T0, away="Prometheus does not admit us (401): check `token_file`")
    progress = replace(HOLDING.progress, counts=(away,))
    message = card(replace(HOLDING, progress=progress), now=T0)
    assert "No metrics: Prometheus does not admit us (401)" in message.text


def test_what_the_planner_noted_is_one_line_of_the_thread() -> None:
    planned = Event(T0, EventKind.PLANNED, "1.0.0 → 2.0.0, canary")
    told = announcement(PROMOTING, planned)
    assert told is not None
    message, loud = told
    assert not loud and "20% was asked" in message.text
    assert announcement(ROLLING, planned) is None, "nothing was noted"


def test_blue_green_reads_as_people_think_of_it() -> None:
    items = step_items(CARDS["bluegreen waiting for the switch"])
    assert [(one.state, one.words) for one in items] == [
        ("done", "Start 2.0.0 beside 1.0.0: 3 pods of hello-green"),
        ("waits", "Switch traffic to 2.0.0 (2 approvals)"),
        ("next", "Keep 1.0.0 ready for 10 min"),
        ("next", "Clean up"),
    ]


@pytest.mark.parametrize(
    ("at_step", "state", "words"),
    [
        (2, "now", "Clean up: roll hello to 2.0.0 while hello-green serves"),
        (3, "now", "Clean up: remove hello-green"),
        (4, "done", "Clean up"),
    ],
)
def test_cleaning_up_is_one_step_that_says_what_it_does(
    at_step: int, state: str, words: str
) -> None:
    cleaning = replace(GREEN, phase=Phase.PROGRESSING, progress=Progress(at_step, T0))
    last = step_items(cleaning)[-1]
    assert (last.state, last.words) == (state, words)


def test_a_finished_blue_green_cleaned_up_once() -> None:
    switch, clean_up = (
        "Switch traffic to 2.0.0",
        [step.title for step in GREEN.steps if step.committed],
    )
    times = [
        StepTime(title, T0 + at, T0 + at + 3 * SECOND, reached_at=T0 + at + 2 * SECOND)
        for at, title in zip((0, 3_000, 6_000), [switch, *clean_up], strict=False)
    ]
    over = replace(GREEN, phase=Phase.SUCCEEDED, timeline=tuple(times))
    assert len(clean_up) >= 2
    wanted = ["Switch traffic to 2.0.0 · 2 s, waited 1 s", "Clean up · 4 s, waited 2 s"]
    assert timeline_lines(over) == [f"✔️ {line}" for line in wanted]


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (ROLLING.change, "Deploy hello 1.0.0 → 2.0.0 rolling"),
        (Scale(5), "Scale hello 1.0.0 → 2.0.0"),
        (Restart(), "Restart hello 1.0.0"),
        (Undo(), "Undo hello 1.0.0 → 2.0.0"),
        (Reapply((), ()), "Apply hello on 2.0.0"),
    ],
)
def test_a_title_begins_with_its_verb(change: Change, title: str) -> None:
    assert title_words(replace(ROLLING, change=change)) == title


@pytest.mark.parametrize("name", [name for name, one in CARDS.items() if not one.phase.is_final])
def test_no_card_changes_only_because_time_passes(name: str) -> None:
    release = CARDS[name]
    assert card(release, now=NOW) == card(release, now=NOW + 7 * SECOND)


def test_the_same_record_gives_the_same_card() -> None:
    assert card(PROMOTING, now=NOW) == card(PROMOTING, now=NOW)


def test_success_is_one_quiet_line_to_the_starter() -> None:
    told = announcement(SUCCEEDED, Event(T0, EventKind.FINISHED, "hello is on 2.0.0"))
    assert told is not None
    message, loud = told
    assert not loud
    assert "<@U0DEV1>" in message.text


def test_only_failures_are_loud_and_only_what_needs_people_mentions_them() -> None:
    for kind in EventKind:
        told = announcement(ROLLING, Event(T0, kind, "something happened"))
        if told is None:
            continue
        message, loud = told
        needs_people = kind in (
            EventKind.FAILURE,
            EventKind.FINISHED,
            EventKind.REFUSED,
            EventKind.REMINDED,
            EventKind.ENVIRONMENT,
            EventKind.DRIFTED,
            EventKind.PROBE_FAILED,
        )
        assert loud == (kind in (EventKind.FAILURE, EventKind.HELD, EventKind.OVERRODE))
        assert ("<@" in message.text) == needs_people


def test_a_failure_shows_cause_then_evidence_then_consequence() -> None:
    release, event = EVENTS["failure"]
    told = announcement(release, event)
    assert told is not None
    text = json.dumps(told[0].blocks)
    assert text.index("Why:") < text.index("hello-2-a") < text.index("Rolling back to 1.0.0")


def test_log_lines_stay_with_the_starter_unless_the_catalog_says_channel() -> None:
    release, _ = EVENTS["failure"]
    event = Event(T0, EventKind.EVIDENCE, "read the last log lines of hello-2-a")
    assert release.cause is not None
    with_logs = replace(release, cause=replace(release.cause, logs=("panic: no config",)))
    quiet = announcement(with_logs, event)
    told = announcement(
        replace(with_logs, rules=replace(with_logs.rules, evidence_logs="channel")), event
    )
    assert quiet is None
    assert told is not None and "panic" in json.dumps(told[0].blocks)


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(0, "░" * 10), (4, "░" * 10), (40, "████░░░░░░"), (100, "█" * 10), (250, "█" * 10)],
)
def test_the_bar_is_ten_cells_whatever_the_share(share: int, drawn: str) -> None:
    assert bar(share) == drawn


@pytest.mark.parametrize(
    ("pods", "words"),
    [(1, "Scale hello → 1 pod · starting"), (3, "Scale hello → 3 pods · starting")],
)
def test_one_pod_is_singular(pods: int, words: str) -> None:
    assert headline(replace(a_release(change=Scale(pods)), from_version="")) == words


@pytest.mark.parametrize("phase", [Phase.REJECTED, Phase.ABORTED, Phase.EXPIRED, Phase.ROLLED_BACK])
def test_a_rolled_back_release_says_what_runs_now(phase: Phase) -> None:
    assert "hello is on 1.0.0" in headline(
        replace(PROMOTING, phase=phase, rollback=Rollback(phase), finished_at=NOW)
    )
    if phase is not Phase.ROLLED_BACK:  # before it began nothing was changed, and nothing goes back
        assert "is on" not in headline(
            replace(PROMOTING, phase=phase, started_at=0, finished_at=NOW)
        )


def test_rolling_back_offers_no_button() -> None:
    assert (
        buttons_of(replace(ROLLING, phase=Phase.ROLLING_BACK, rollback=Rollback(Phase.ROLLED_BACK)))
        == []
    )


def _buttons(message: Message) -> list[dict[str, Any]]:
    return [
        element
        for block in message.blocks
        if block["type"] == "actions"
        for element in block["elements"]
    ]


# --- links ----------------------------------------------------------------------------------------

DIFF = "https://git.example.com/{app}/compare/{from}...{to}"


def linked(**parts: Any) -> str:
    release = replace(ROLLING, **parts)
    rules = replace(release.rules, links=(("diff", DIFF), ("app", "https://example.com/?a={app}")))
    message = card(replace(release, rules=rules), now=NOW)
    return json.dumps(message.blocks, ensure_ascii=False)


def test_a_card_links_what_the_catalog_names() -> None:
    shown = linked(from_version="1.0.0", to_version="2.0.0+x y")
    assert "<https://git.example.com/hello/compare/1.0.0...2.0.0%2Bx%20y|diff>" in shown
    assert "<https://example.com/?a=hello|app>" in shown


def test_a_link_without_its_version_is_left_out() -> None:
    shown = linked(from_version="")
    assert "compare" not in shown and "|app>" in shown


def test_a_plan_has_the_links_too() -> None:
    assert CANARY.plan is not None
    rules = replace(CANARY.rules, links=(("diff", DIFF),))
    message = plan_message(replace(CANARY, rules=rules), CANARY.plan)
    assert "compare/1.0.0...2.0.0|diff>" in json.dumps(message.blocks)


def test_a_dialog_counts_one_pod_as_one() -> None:
    one = tuple(replace(version, pods=1) for version in CANARY.card_snapshot.versions)
    release = replace(CANARY, card_snapshot=replace(CANARY.card_snapshot, versions=one))
    assert restored(release).startswith("The canary pod of 2.0.0 is removed.")


def test_a_failing_probe_is_what_the_card_waits_for() -> None:
    """Neither the condition's own words nor the usual end stand beside it."""
    failing = replace(
        GREEN,
        phase=Phase.PROGRESSING,
        usual_ms=5 * SECOND,
        progress=Progress(
            0,
            T0,
            waits_for=str(Condition.CANDIDATE_ANSWERS),
            probe_failure="/version fails on hello-green-1: it answers 503",
        ),
    )
    text = shown(card(failing, now=NOW))
    assert "The probe fails: /version fails on hello-green-1: it answers 503" in text
    assert "in this very look" not in text and "Usually" not in text
    assert "eadline" in text


def test_a_card_that_holds_says_that_pods_alone_are_judged() -> None:
    note = "nobody approves the promotion, and there is no probe: the new version is judged by pods"
    plan = HOLDING.plan
    assert plan is not None
    blind = replace(HOLDING, plan=replace(plan, notes=(f"{note} alone",)))
    message = card(blind, now=NOW)
    line = f"N{note[1:]} alone"
    assert line in message.text and line in json.dumps(message.blocks)
    assert "judged by pods alone" not in card(HOLDING, now=NOW).text
