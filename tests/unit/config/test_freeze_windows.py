"""Windows by the clock on the wall, over both changes of daylight saving."""

from __future__ import annotations

from datetime import datetime

import pytest

from config.durations import parse_duration
from config.freeze_windows import Window, checked_rule, checked_timezone, refusal_of_window

WEEKEND = Window(
    "FREQ=WEEKLY;BYDAY=FR;BYHOUR=16;BYMINUTE=0;BYSECOND=0", parse_duration("64h"), "Europe/Berlin"
)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ("2026-03-20T16:00+01:00", "2026-03-23T08:00+01:00"),
        ("2026-03-27T16:00+01:00", "2026-03-30T08:00+02:00"),  # 63 h: the clocks go forward
        ("2026-07-10T16:00+02:00", "2026-07-13T08:00+02:00"),
        ("2026-10-23T16:00+02:00", "2026-10-26T08:00+01:00"),  # 65 h: the clocks go back
        ("2027-03-26T16:00+01:00", "2027-03-29T08:00+02:00"),
    ],
)
def test_a_weekend_ends_on_monday_at_eight_whatever_the_clocks_do(begins: str, ends: str) -> None:
    assert WEEKEND.at(ms(begins) - 1) is None
    for now in (ms(begins), ms(ends) - 1):
        found = WEEKEND.at(now)
        assert found is not None and (found.begins, found.ends) == (ms(begins), ms(ends))
    assert WEEKEND.at(ms(ends)) is None


@pytest.mark.parametrize(
    ("hour", "lasts", "day", "begins", "ends"),
    [
        # 02:30 does not exist on this day: read as 02:30 of winter time, 03:30 of summer time
        (2, "1h", "2026-03-29", "03:30+02:00", "03:30+02:00"),
        (1, "3h", "2026-03-29", "01:30+01:00", "04:30+02:00"),
        # 02:30 comes twice: the first
        (2, "1h", "2026-10-25", "02:30+02:00", "03:30+01:00"),
        (1, "3h", "2026-10-25", "01:30+02:00", "04:30+01:00"),
        (2, "1h", "2026-06-01", "02:30+02:00", "03:30+02:00"),
    ],
)
def test_a_night_of_changing_clocks(
    hour: int, lasts: str, day: str, begins: str, ends: str
) -> None:
    window = Window(
        f"FREQ=DAILY;BYHOUR={hour};BYMINUTE=30;BYSECOND=0", parse_duration(lasts), "Europe/Berlin"
    )
    found = window.at(ms(f"{day}T{begins}"))
    if begins == ends:
        assert found is None  # an hour of the wall that the clocks skip is none
        return
    assert found is not None
    assert (found.begins, found.ends) == (ms(f"{day}T{begins}"), ms(f"{day}T{ends}"))


@pytest.mark.parametrize(
    ("timezone", "now", "is_open"),
    [
        ("America/New_York", "2026-03-06T21:00+00:00", True),  # 16:00 EST
        ("America/New_York", "2026-03-06T20:59+00:00", False),
        ("America/New_York", "2026-03-13T20:00+00:00", True),  # 16:00 EDT
        ("Asia/Kolkata", "2026-03-13T10:30+00:00", True),
        ("Pacific/Kiritimati", "2026-03-13T02:00+00:00", True),  # UTC+14
        ("Pacific/Kiritimati", "2026-03-13T01:59+00:00", False),
    ],
)
def test_the_zone_decides_when_it_is_four(timezone: str, now: str, is_open: bool) -> None:
    window = Window(WEEKEND.rule, WEEKEND.for_ms, timezone)
    assert (window.at(ms(now)) is not None) == is_open


def test_a_rule_may_have_an_interval_and_an_end() -> None:
    window = Window("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;UNTIL=20260201T000000", 3_600_000, "UTC")
    opens = [day for day in range(1, 32) if window.at(ms(f"2026-01-{day:02}T00:30+00:00"))]
    assert opens == [12, 26]
    assert window.at(ms("2026-02-09T00:30+00:00")) is None


def test_the_last_of_the_month_and_the_end_of_the_year() -> None:
    window = Window("FREQ=MONTHLY;BYMONTHDAY=-1", parse_duration("24h"), "UTC")
    assert window.at(ms("2028-02-29T12:00+00:00")) and not window.at(ms("2028-02-28T12:00+00:00"))
    holidays = Window("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=20", parse_duration("18d"), "UTC")
    found = holidays.at(ms("2027-01-03T00:00+00:00"))
    assert found is not None and found.ends == ms("2027-01-07T00:00+00:00")


def test_the_next_that_begins_is_named() -> None:
    begins = ms("2026-12-04T16:00+01:00")
    found = WEEKEND.next_within(begins - 3_600_000, 7_200_000)
    assert found is not None and found.begins == begins
    assert WEEKEND.next_within(begins - 3_600_000, 1_800_000) is None


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("weekend", "`weekend` is not a rule: it begins with FREQ=DAILY"),
        ("FREQ=MINUTELY", "`FREQ=MINUTELY` is not a rule: it begins with FREQ=DAILY"),
        ("FREQ=WEEKLY;BYDAY=XX", "is not a rule of RFC 5545: invalid 'BYDAY': XX"),
        ("FREQ=DAILY;BYHOUR=25", "is not a rule of RFC 5545: hour must be in 0..23"),
        ("FREQ=DAILY;COUNT=3", "COUNT has no date to count from: use UNTIL"),
        ("FREQ=DAILY;DTSTART=20260101T000000", "without DTSTART"),
        ("FREQ=DAILY;EVERY=1", "is not a rule of RFC 5545: unknown parameter 'EVERY'"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_line(text: str, mistake: str) -> None:
    with pytest.raises(ValueError) as caught:
        checked_rule(text)
    assert mistake in str(caught.value)


def test_an_unknown_zone_gets_the_nearest() -> None:
    with pytest.raises(ValueError) as caught:
        checked_timezone("Europe/Berln")
    assert str(caught.value) == "no time zone `Europe/Berln`; did you mean `Europe/Berlin`?"
    assert checked_timezone("UTC") == "UTC"


@pytest.mark.parametrize(
    ("rule", "lasts", "refusal"),
    [
        ("FREQ=DAILY", "24h", "the window never ends"),
        ("FREQ=WEEKLY;BYDAY=MO,TH", "5d", "the window never ends"),
        ("FREQ=DAILY", "23h", ""),
        ("FREQ=WEEKLY;BYDAY=FR,SA", "36h", ""),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "1h", "the window never begins"),
        ("FREQ=DAILY;UNTIL=20230101T000000", "1h", "the window never begins"),
        ("FREQ=DAILY", "10s", "`for` must be at least 1m"),
    ],
)
def test_a_window_begins_and_ends(rule: str, lasts: str, refusal: str) -> None:
    found = refusal_of_window(Window(rule, parse_duration(lasts), "Europe/Berlin"))
    assert found.startswith(refusal) and bool(found) == bool(refusal)
