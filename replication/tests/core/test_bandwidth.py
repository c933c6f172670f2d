"""Limits hold in the long run whatever the pieces are, and runs share what there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.core import bandwidth
from replication.core.bandwidth import LONGEST_BURST, Bucket

rates = st.integers(bandwidth.SMALLEST, 10**9).map(float)
sizes = st.lists(st.integers(1, 70_000), min_size=1, max_size=50)


def test_without_a_limit_nothing_waits() -> None:
    assert bandwidth.take(Bucket(bandwidth.UNLIMITED), 10**9, 5.0)[1] == 0


def test_what_is_too_much_waits_until_it_is_made_up_for() -> None:
    bucket, wait = bandwidth.take(Bucket(1000.0), 2000, 0.0)
    assert wait == 2.0
    assert bandwidth.take(bucket, 1000, 2.0)[1] == 1.0


def test_an_idle_bucket_does_not_gather_more_than_a_moment() -> None:
    bucket, _ = bandwidth.take(Bucket(1000.0), 1, 0.0)
    assert bandwidth.filled(bucket, 10_000.0).level == 1000 * LONGEST_BURST


@pytest.mark.slow
@given(rates, sizes, st.lists(st.floats(0, 5), min_size=50, max_size=50))
def test_nobody_sends_more_than_the_limit_in_the_long_run(
    rate: float, pieces: list[int], pauses: list[float]
) -> None:
    bucket, now, sent = Bucket(rate), 0.0, 0
    for size, pause in zip(pieces, pauses, strict=False):
        bucket, wait = bandwidth.take(bucket, size, now)
        sent += size
        now += wait
        assert sent <= rate * (now + LONGEST_BURST) * (1 + 1e-9) + 1
        now += pause


@given(rates, sizes)
def test_who_never_rests_gets_what_the_limit_allows(rate: float, pieces: list[int]) -> None:
    bucket, now = Bucket(rate), 0.0
    for size in pieces:
        bucket, wait = bandwidth.take(bucket, size, now)
        now += wait
    assert now == pytest.approx(sum(pieces) / rate)


@given(rates, rates, st.integers(1, 10**6), st.floats(0, 10))
def test_another_rate_forgives_no_debt(
    rate: float, other: float, size: int, seconds: float
) -> None:
    bucket, _ = bandwidth.take(Bucket(rate), size, 0.0)
    owed = size - rate * seconds
    if owed > 0:
        left = bandwidth.filled(bandwidth.changed(bucket, other, seconds), seconds)
        assert -left.level == pytest.approx(owed, abs=1e-3)


@given(rates, st.dictionaries(st.integers(), st.just(0.0) | rates, min_size=1, max_size=8))
def test_all_shares_together_are_the_whole_or_all_that_is_wanted(
    total: float, limits: dict[int, float]
) -> None:
    shares = bandwidth.allot(total, limits)
    wanted = sum(limits.values()) if all(limits.values()) else float("inf")
    assert sum(shares.values()) == pytest.approx(min(total, wanted))
    for number, limit in limits.items():
        assert 0 < shares[number] <= (limit or total)


@given(rates, st.dictionaries(st.integers(), st.just(0.0) | rates, min_size=2, max_size=8))
def test_who_gets_less_than_another_has_asked_for_less(
    total: float, limits: dict[int, float]
) -> None:
    shares = bandwidth.allot(total, limits)
    most = max(shares.values())
    for number, share in shares.items():
        if share < most * (1 - 1e-9):
            assert share == limits[number]


def test_without_a_whole_each_has_its_own_limit() -> None:
    assert bandwidth.allot(0, {1: 0.0, 2: 5000.0}) == {1: 0.0, 2: 5000.0}
