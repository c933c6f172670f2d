"""Keys of views sort as CouchDB sorts them: against its documented table, and against ICU."""

from __future__ import annotations

import functools
import itertools
import json
from fractions import Fraction
from typing import Any

import icu
import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import sortkey
from couchapi.core.sortkey import encode

# CouchDB's own test of the order (view_collation.js), and what else has bitten somebody.
TABLE: list[Any] = [
    None,
    False,
    True,
    -1e300,
    -(2**53) - 1,
    -(2**53),
    -1.5,
    -1,
    0,
    5e-324,
    1,
    2,
    3.0,
    4,
    2**53,
    2**53 + 1,
    2**53 + 2,
    2**63 - 1,
    2**63,
    2**64,
    2**64 + 1,
    10**300,
    "",
    "_",
    "-",
    "1",
    "10",
    "2",
    "a",
    "A",
    "aa",
    "b",
    "B",
    "ba",
    "bb",
    "résumé",
    "z",
    "zz",
    "ω",
    [],
    [None],
    ["a"],
    ["a", None],
    ["b"],
    ["b", "c"],
    ["b", "c", "a"],
    ["b", "d"],
    ["b", "d", "e"],
    [[]],
    {},
    {"a": 1},
    {"a": 2},
    {"b": 1},
    {"b": 2},
    {"b": 2, "a": 1},
    {"b": 2, "c": 2},
]


def _by_rank(value: Any) -> int:
    kinds = (type(None), bool, (int, float), str, list, dict)
    return next(rank for rank, kind in enumerate(kinds) if isinstance(value, kind))


def _sign(left: Any, right: Any) -> int:
    return (left > right) - (left < right)


_ICU = icu.Collator.createInstance(icu.Locale.getRoot())


def compare(left: Any, right: Any) -> int:
    """Compare as couch_ejson_compare.erl does: by kind, then by value or member by member."""
    if _by_rank(left) != _by_rank(right):
        return _sign(_by_rank(left), _by_rank(right))
    if isinstance(left, str):
        return int(_ICU.compare(left, right))
    if isinstance(left, list):
        return _members(left, right)
    if isinstance(left, dict):
        flat = [list(itertools.chain(*value.items())) for value in (left, right)]
        return _members(*flat)
    return 0 if left is None else _sign(Fraction(left), Fraction(right))


def _members(left: list[Any], right: list[Any]) -> int:
    orders = (compare(*pair) for pair in zip(left, right, strict=False))
    return next((order for order in orders if order), _sign(len(left), len(right)))


_numbers = (
    st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-3, 3).map(lambda n: 2**53 + n)
    | st.integers(-3, 3).map(lambda n: -(2**60) + n)
)
_strings = st.text(max_size=5) | st.text("aAbB1 _-é\u0301ß\u200b\0", max_size=4)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_strings, inner, max_size=3),
    max_leaves=8,
)


def test_the_table_is_in_order() -> None:
    for lower, higher in itertools.pairwise(TABLE):
        assert encode(lower) < encode(higher), (lower, higher)


@given(_values, _values)
def test_the_order_of_bytes_is_the_order_of_values(left: Any, right: Any) -> None:
    assert _sign(encode(left), encode(right)) == compare(left, right)


@pytest.mark.slow
@given(_values, st.lists(_values, max_size=3), _values, st.lists(_values, max_size=3))
def test_inside_arrays_the_first_difference_decides(
    left: Any, after_left: list[Any], right: Any, after_right: list[Any]
) -> None:
    arrays = [left, *after_left], [right, *after_right]
    assert _sign(*map(encode, arrays)) == compare(*arrays)


@pytest.mark.slow
@given(_values)
def test_keys_are_between_the_bounds(value: Any) -> None:
    assert sortkey.MIN < encode(value) < sortkey.after(encode(value)) < sortkey.MAX


@given(_values, _values)
def test_nothing_is_between_a_key_and_its_bound(value: Any, other: Any) -> None:
    above = sortkey.after(encode(value))
    assert (encode(other) < above) == (compare(other, value) <= 0)


@given(_values, _values, st.none() | st.integers(1, 4))
@pytest.mark.slow
def test_the_bounds_of_a_group_hold_what_groups_and_nothing_else(
    value: Any, other: Any, level: int | None
) -> None:
    low, high = sortkey.group(value, level)
    alike = _group_of(value, level), _group_of(other, level)
    assert low <= encode(value) < high
    assert (low <= encode(other) < high) == (compare(*alike) == 0)


def _group_of(value: Any, level: int | None) -> Any:
    return value[:level] if isinstance(value, list) else value


def test_a_group_ends_before_the_next_integer_of_the_same_double() -> None:
    _, high = sortkey.group([2**53], 1)
    assert encode([2**53, {}]) < high < encode([2**53 + 1])


@pytest.mark.slow
@given(st.lists(_values, max_size=30))
def test_sorting_by_bytes_sorts_by_value(values: list[Any]) -> None:
    by_bytes = sorted(values, key=encode)
    by_value = sorted(values, key=functools.cmp_to_key(compare))
    assert json.dumps(by_bytes) == json.dumps(by_value)
