"""The locks against guessing."""

from __future__ import annotations

import datetime

from discovery.core.attempts import locked_until

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def at(minutes: float) -> datetime.datetime:
    return NOW + datetime.timedelta(minutes=minutes)


def lock(failures: list[float], now: float) -> datetime.datetime | None:
    return locked_until([at(minute) for minute in failures], at(now))


def test_two_failures_do_not_lock() -> None:
    assert lock([0, 1], 1) is None


def test_three_failures_within_ten_minutes_lock_for_ten() -> None:
    assert lock([0, 1, 9], 9) == at(19)
    assert lock([0, 1, 9], 19) is None


def test_three_failures_over_a_longer_time_do_not_lock() -> None:
    assert lock([0, 6, 10], 10) is None


def test_each_lock_is_twice_as_long_as_the_one_before() -> None:
    assert lock([0, 0, 0, 11, 11, 11], 11) == at(31)
    assert lock([0, 0, 0, 11, 11, 11, 32, 32, 32], 32) == at(72)


def test_the_length_begins_again_after_a_quiet_day() -> None:
    later = 60 * 24 + 11
    assert lock([0, 0, 0, later, later, later], later) == at(later + 10)


def test_ten_failures_lock_until_the_first_is_a_day_old() -> None:
    spread = [100.0 * number for number in range(10)]
    assert lock(spread, 900) == at(60 * 24)
    assert lock(spread[:9], 900) is None


def test_the_longest_lock_is_a_day() -> None:
    failures, now = [], 0.0
    for _ in range(12):  # A new series each time the lock ends.
        failures += [now] * 3
        until = lock(failures, now)
        assert until is not None
        assert until - at(now) <= datetime.timedelta(days=1)
        now = (until - NOW).total_seconds() / 60
