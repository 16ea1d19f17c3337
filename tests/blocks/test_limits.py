"""Whatever people type or clusters report, messages stay within Slack's limits, notify no one and
lose no row silently."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.operations.replies import (
    ConfirmReply,
    DocumentReply,
    ListingReply,
    Refusal,
    TextReply,
    WhoamiReply,
)
from bot.ports import Message, Table
from bot.releases.facts.ages import duration, moment
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.release import Outage, Phase
from bot.slack.blocks.announcements import announcement
from bot.slack.blocks.card import card
from bot.slack.blocks.elements import MAX_TEXT, section, top_text
from bot.slack.blocks.tables import aligned, rows_of, table_message, without_tables
from bot.slack.markup import age, columns, cut, date, escaped, for_terminal, plain, units
from sandbox.slack.block_rules import check_message_blocks
from tests.blocks.fleet_stories import many_clusters
from tests.blocks.stories import NOW, PROMOTING, RENDERING, ROLLING
from tests.builders import T0

PINGS = ("<!channel>", "<!here>", "<!everyone>", "<!subteam^S0DEV>", "<@U0OTHER>")
ANY = st.one_of(
    st.text(max_size=80),
    st.text(min_size=1, max_size=40).map(lambda text: (text * 3_001)[:3_001]),
    st.sampled_from([*PINGS, "😀" * 2_000, "*_~`", "안녕", "مرحبا"]),
)


def accepted(message: Message) -> None:
    assert message.text
    assert units(message.text) <= MAX_TEXT
    assert check_message_blocks([dict(block) for block in message.blocks]).problems == []
    drawn = json.dumps(
        [block for block in message.blocks if block["type"] != "rich_text"], ensure_ascii=False
    )
    for ping in PINGS:
        assert ping not in message.text
        assert ping not in drawn


@settings(max_examples=30, deadline=None)
@given(
    reason=ANY,
    why=ANY,
    evidence=st.lists(ANY, max_size=6),
    version=ANY,
    note=ANY,
    phase=st.sampled_from(list(Phase)),
)
def test_a_card_holds_any_text(
    reason: str, why: str, evidence: list[str], version: str, note: str, phase: Phase
) -> None:
    assert PROMOTING.plan is not None
    release = replace(
        PROMOTING,
        reason=reason,
        command=reason,
        cause=Cause(FailureClass.PERMANENT, why, tuple(evidence)),
        to_version=version,
        plan=replace(PROMOTING.plan, notes=(note,) * 6),
        phase=phase,
        requested_by=Person("T1", "U0DEV1", reason),
        unreachable=Outage(T0, why),
    )
    accepted(card(release, now=NOW))


@settings(max_examples=30, deadline=None)
@given(text=ANY, evidence=st.lists(ANY, max_size=12), kind=st.sampled_from(list(EventKind)))
def test_an_announcement_holds_any_text(text: str, evidence: list[str], kind: EventKind) -> None:
    told = announcement(ROLLING, Event(T0, kind, text or "-", evidence=tuple(evidence)))
    if told is not None:
        accepted(told[0])


@settings(max_examples=30, deadline=None)
@given(text=ANY, more=st.lists(ANY, max_size=5))
def test_a_reply_holds_any_text(text: str, more: list[str]) -> None:
    replies = (
        TextReply(text or "-"),
        Refusal(text or "-", text),
        DocumentReply(text, text),
        DocumentReply(
            text,
            f"KIND: {text}\n\nDESCRIPTION:\n    {text}\n\nFIELDS:\n  {text}\t<{text}>\n    {text}",
            explains=True,
        ),
        ConfirmReply(text or "-", tuple(more), "Apply", "t0ken"),
        WhoamiReply(Person("T1", "U0DEV1"), tuple(more), (), text, False, text),
        ListingReply(text, [replace(ROLLING, reason=text, to_version=text)] * 30),
    )
    for reply in replies:
        accepted(RENDERING.reply(reply, now=NOW))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
@given(cells=st.lists(st.lists(ANY, min_size=3, max_size=3), max_size=120), title=ANY)
def test_a_table_holds_any_cells(cells: list[list[str]], title: str) -> None:
    tables = (Table(title, ("a", "b", "c"), tuple(tuple(row) for row in cells), title),)
    for message in (
        table_message(tables),
        without_tables(table_message(tables)),
        table_message(tables * 2),
    ):
        assert check_message_blocks([dict(block) for block in message.blocks]).problems == []
        assert units(message.text) <= MAX_TEXT


def test_of_101_pods_the_table_shows_99_and_says_that_two_are_missing() -> None:
    rows = tuple((f"hello-{number}", "yes") for number in range(101))
    message = table_message((Table("Pods", ("pod", "ready"), rows),))
    table = next(block for block in message.blocks if block["type"] == "table")
    assert len(rows_of(table)) == 100
    assert "2 more rows not shown" in json.dumps(message.blocks)


def test_cells_beyond_slacks_characters_are_left_out_and_counted() -> None:
    rows = tuple((f"{number}", "x" * 290) for number in range(60))
    message = table_message((Table("Wide", ("n", "text"), rows),))
    table = next(block for block in message.blocks if block["type"] == "table")
    assert sum(len(cell) for row in rows_of(table) for cell in row) <= 10_000
    assert f"{60 - (len(rows_of(table)) - 1)} more rows not shown" in json.dumps(message.blocks)


def test_kubectls_bracketed_words_lose_brackets_that_look_like_markup() -> None:
    message = table_message(
        (
            Table(
                "Services",
                ("name", "external-ip"),
                (("frontend", "<pending>"), ("hello", "<none>"), ("a<b>", "1")),
            ),
        )
    )
    table = next(block for block in message.blocks if block["type"] == "table")
    assert rows_of(table)[1:] == [["frontend", "pending"], ["hello", "none"], ["a<b>", "1"]]


def test_text_in_place_of_a_table_never_breaks_columns_on_a_phone() -> None:
    pod = ("stable", "2.0.0", "yes", "hello-6b54d-x7z")
    wide = Table("Pods", ("ROLE", "VERSION", "READY", "POD"), (pod,))
    narrow = Table("Traffic", ("VERSION", "SHARE"), (("2.0.0", "40%"),))
    (_, wide_text, _, narrow_text) = table_message((wide, narrow)).blocks
    assert wide_text["text"]["text"] == (
        "• *stable* · version 2.0.0 · ready yes · pod hello-6b54d-x7z"
    )
    assert narrow_text["elements"][0]["type"] == "rich_text_preformatted"


def test_a_table_without_rows_says_so() -> None:
    assert (
        table_message((Table("Pods of hello", ("pod",), ()),)).text
        == "Pods of hello: nothing found"
    )


def test_columns_line_up_by_the_width_of_each_character() -> None:
    lines = aligned(Table("t", ("name", "x"), (("안녕", "1"), ("ab", "2"), ("é", "3"))))
    starts = {columns(line[: line.rindex(line.split()[-1])]) for line in lines}
    assert starts == {6}


def test_markup_in_a_name_is_shown_and_does_nothing() -> None:
    assert escaped("<!channel> & co", 100) == "&lt;!channel&gt; &amp; co"
    assert "*" in plain("*bold*") and plain("*bold*") != "*bold*"


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_cutting_never_exceeds_the_limit_nor_splits_an_entity(text: str, limit: int) -> None:
    assert units(cut(text, limit)) <= limit
    shown = escaped(text, limit)
    assert units(shown) <= limit
    assert shown.count("&") == sum(shown.count(entity) for entity in ("&amp;", "&lt;", "&gt;"))


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0 s"),
        (42_000, "42 s"),
        (60_000, "1 min"),
        (185_000, "3 min 5 s"),
        (7_800_000, "2 h 10 min"),
        (400 * 86_400_000, "400 d"),
    ],
)
def test_durations_read_as_people_say_them(ms: int, words: str) -> None:
    assert duration(ms) == words


@pytest.mark.parametrize(
    ("ms", "words"),
    [(90_000, "90s"), (600_000, "10m"), (4 * 3_600_000, "4h"), (72 * 3_600_000, "3d")],
)
def test_ages_read_as_kubectl_writes_them(ms: int, words: str) -> None:
    assert age(ms) == words


def test_a_moment_in_a_text_is_shown_in_each_readers_own_time() -> None:
    text = f"set by kubectl, {moment(T0)}"
    shown = section(text)["text"]["text"]
    assert shown == ("set by kubectl, <!date^1800000000^{date_short_pretty} {time_secs}|08:00 UTC>")
    assert top_text([text]) == "set by kubectl, 2027-01-15 08:00:00 UTC"
    assert for_terminal(text) == "set by kubectl, 2027-01-15 08:00:00 UTC"


def test_what_only_looks_like_a_moment_stays_as_it_is() -> None:
    assert section("2027-99-99T08:00:00Z")["text"]["text"] == "2027-99-99T08:00:00Z"


def test_a_moment_is_shown_in_each_readers_own_time() -> None:
    assert date(T0) == "<!date^1800000000^{time}|08:00 UTC>"


WHEN = Table("Revisions", ("REVISION", "WHEN"), (("1", "2027-01-15T08:00:00Z"),))


def test_a_moment_in_a_table_is_shown_in_each_readers_zone() -> None:
    message = table_message((WHEN,))
    (table,) = [block for block in message.blocks if block["type"] == "table"]
    (section,) = table["rows"][1][1]["elements"]
    (date,) = section["elements"]
    assert (date["type"], date["timestamp"]) == ("date", 1_800_000_000)
    assert rows_of(table)[1][1] == "2027-01-15T08:00:00Z"
    assert check_message_blocks([dict(block) for block in message.blocks]).problems == []


def test_text_names_the_zone_of_its_moments_once() -> None:
    lines = ["REVISION  WHEN (UTC)", "1         2027-01-15 08:00:00"]
    assert aligned(WHEN) == lines
    assert "\n".join(lines) in table_message((WHEN,)).text
    (shown,) = without_tables(table_message((WHEN,))).blocks[1:]
    assert "\n".join(lines) in json.dumps(shown).replace("\\n", "\n")


@pytest.mark.parametrize("count", [2, 30, 60])
def test_a_fleet_of_many_clusters_is_one_card(count: int) -> None:
    release = many_clusters(count)
    accepted(card(release, now=NOW))
    accepted(card(replace(release, phase=Phase.SUCCEEDED), now=NOW))
