"""Windows of time: read as people write them, kept in UTC, and compared with a plain model."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.core import windows
from discovery.core.errors import BadWindows
from discovery.core.windows import ALWAYS, DAY, WEEK, Windows

MONDAY = int(datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC).timestamp())
HOUR = 3600

weekly = st.lists(st.tuples(st.integers(0, WEEK - 1), st.integers(1, DAY)), min_size=1, max_size=4)
offsets = st.integers(-14 * 60, 14 * 60)


def made(pairs: list[tuple[int, int]]) -> Windows:
    return Windows(tuple(sorted(set(pairs))))


def at(day: int, hour: float) -> float:
    return MONDAY + day * 86_400 + hour * HOUR


def test_on_working_days_it_is_open_in_the_evening() -> None:
    held = windows.parse("Mon-Fri 18:00-20:00")
    assert [windows.is_open(held, at(day, 19)) for day in range(7)] == [True] * 5 + [False] * 2
    assert not windows.is_open(held, at(0, 17.99))
    assert not windows.is_open(held, at(0, 20))
    assert windows.next_opening(held, at(4, 20)) == at(7, 18)
    assert windows.closing(held, at(4, 18)) == at(4, 20)


def test_a_window_may_last_over_midnight_and_over_the_end_of_the_week() -> None:
    held = windows.parse("Sun 22:00-02:00")
    assert windows.is_open(held, at(6, 23))
    assert windows.is_open(held, at(0, 1))
    assert not windows.is_open(held, at(0, 2))


def test_without_windows_it_is_always_open() -> None:
    assert windows.parse("") == windows.parse("always") == ALWAYS
    assert windows.is_open(ALWAYS, 0)
    assert windows.next_opening(ALWAYS, 5) == 5
    assert windows.closing(ALWAYS, 5) is None


def test_a_span_opens_once() -> None:
    held = windows.parse("2026-11-24T18:00/2026-11-24T20:00", 60)
    assert windows.next_opening(held, MONDAY) == at(1, 17)
    assert windows.is_open(held, at(1, 18.9))
    assert windows.next_opening(held, at(1, 19)) is None


def test_what_adjoins_is_open_without_a_gap() -> None:
    held = windows.parse("18:00-20:00; 20:00-21:00; Tue 20:30-22:00")
    assert windows.closing(held, at(0, 19)) == at(0, 21)
    assert windows.closing(held, at(1, 19)) == at(1, 22)
    assert windows.closing(windows.parse("00:00-24:00"), MONDAY) is None


def test_local_times_are_kept_in_utc_and_shown_in_those_of_today() -> None:
    in_winter = windows.parse("Mon 00:30-01:30", 60)
    assert windows.text(in_winter) == "Sun 23:30-00:30"
    assert windows.text(in_winter, 60) == "Mon 00:30-01:30"
    assert windows.text(in_winter, 120) == "Mon 01:30-02:30"


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("sat,sun 9:00 - 12:00", "Sat,Sun 09:00-12:00"),
        ("fri-MONDAY 08:00–09:00", "Mon,Fri-Sun 08:00-09:00"),
        ("daily 18:00-24:00", "18:00-24:00"),
        ("18:00-18:00", "18:00-18:00"),
        ("2026-11-24T18:00Z / 2026-11-24T20:00Z", "2026-11-24T18:00/2026-11-24T20:00"),
    ],
)
def test_windows_are_read_as_people_write_them(text: str, again: str) -> None:
    assert windows.text(windows.parse(text)) == again


@pytest.mark.parametrize(
    "text",
    [
        "Mon", "Mon 18:00", "Mon 25:00-26:00", "Mon 18:60-19:00", "Mon 24:00-01:00",
        "Xxx 18:00-19:00", "Mon-Fri 18:00-20:00 or so", "/", "2026-11-24T18:00/2026-11-24T18:00",
        "2026-13-01/2027-01-01", "0001-01-01T00:00+23:00/2026-01-01", "2026-01-01/9999-12-31",
        "Mon,, 18:00-19:00", "1" * 401, "¹8:00-19:00",
    ],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(BadWindows):
        windows.parse(text)


def test_there_are_not_more_windows_than_a_card_can_hold() -> None:
    with pytest.raises(BadWindows):
        windows.parse(
            ";".join(f"{hour}:{minute:02d}-{hour}:59" for hour in range(3) for minute in range(6))
        )


@given(st.text(max_size=40), offsets)
def test_any_text_is_read_or_refused(text: str, offset: int) -> None:
    try:
        held = windows.parse(text, offset)
    except BadWindows:
        return
    assert windows.parse(windows.text(held, offset), offset) == held


@given(weekly, offsets)
@pytest.mark.slow
def test_what_was_written_reads_back(pairs: list[tuple[int, int]], offset: int) -> None:
    held = made(pairs)
    assert windows.parse(windows.text(held, offset), offset) == held


@given(weekly, st.integers(0, 4 * WEEK))
def test_it_is_open_when_a_minute_of_the_week_is_in_a_window(
    pairs: list[tuple[int, int]], minute: int
) -> None:
    expected = any((minute - start) % WEEK < length for start, length in pairs)
    assert windows.is_open(made(pairs), MONDAY + minute * 60) == expected


@given(weekly, st.integers(0, WEEK * 60))
def test_it_stays_shut_until_the_next_opening_and_open_until_it_closes(
    pairs: list[tuple[int, int]], seconds: int
) -> None:
    held, now = made(pairs), MONDAY + seconds
    opening = windows.next_opening(held, now)
    assert opening is not None
    assert windows.is_open(held, opening)
    assert opening == now or not windows.is_open(held, opening - 1)
    closing = windows.closing(held, opening)
    assert closing is None or (
        not windows.is_open(held, closing) and windows.is_open(held, closing - 1)
    )


@given(st.lists(weekly, min_size=1, max_size=3), st.integers(0, WEEK))
def test_either_of_several_is_open_when_one_is(
    several: list[list[tuple[int, int]]], minute: int
) -> None:
    held = [made(pairs) for pairs in several]
    now = MONDAY + minute * 60
    together = windows.either(held)
    assert windows.is_open(together, now) == any(windows.is_open(one, now) for one in held)
    assert windows.either([*held, ALWAYS]) == ALWAYS


@given(st.lists(weekly, min_size=1, max_size=3), st.integers(0, WEEK * 60))
def test_the_common_opening_is_the_first_moment_when_all_are_open(
    several: list[list[tuple[int, int]]], seconds: int
) -> None:
    held, now = [made(pairs) for pairs in several], MONDAY + seconds
    opening = windows.common_opening(held, now)
    # It is now, or the beginning of a window.
    begins = {
        MONDAY + (week * WEEK + start) * 60
        for week in range(3)
        for one in held
        for start, _ in one.weekly
    }
    moments = sorted({now, *(begin for begin in begins if begin > now)})
    expected = (at for at in moments if all(windows.is_open(one, at) for one in held))
    assert opening == next(expected, None)


def test_what_nobody_here_can_read_is_always_open() -> None:
    assert windows.published("every full moon") == ALWAYS
    assert windows.published("18:00-20:00") == windows.parse("18:00-20:00")
