"""Different values are counted about right, whole or in parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import hyperloglog
from couchapi.core.hyperloglog import EMPTY, decode, encode, estimate, of, union


def _values(count: int) -> list[bytes]:
    return [b"value %d" % n for n in range(count)]


def test_nothing_is_counted_as_nothing() -> None:
    assert estimate(of([])) == 0
    assert of([]) == EMPTY


@pytest.mark.parametrize("count", [1, 2, 10, 100])
def test_few_values_are_counted_exactly_or_nearly(count: int) -> None:
    assert abs(estimate(of(_values(count))) - count) <= count / 50


@pytest.mark.parametrize("count", [1000, 5000, 20_000])
def test_many_values_are_counted_within_three_standard_errors(count: int) -> None:
    assert abs(estimate(of(_values(count) * 2)) - count) <= count * 0.07


@given(st.lists(st.binary(max_size=4)), st.lists(st.binary(max_size=4)))
def test_parts_are_joined_to_the_whole(left: list[bytes], right: list[bytes]) -> None:
    assert union([of(left), of(right)]) == of(left + right)
    assert union([of(left)]) == of(left + left)


@given(st.lists(st.binary(max_size=4)))
def test_registers_are_kept_as_text(values: list[bytes]) -> None:
    assert decode(encode(of(values))) == of(values)
    assert len(hyperloglog.EMPTY) == 2048
