"""JSON values have one order, CouchDB's."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import collate

_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, "", "a"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=5,
)


def test_the_types_have_couchdbs_order() -> None:
    ordered: list[Any] = [
        None,
        False,
        True,
        -1,
        0.5,
        1,
        10**30,
        "",
        "A",
        "a",
        "aa",
        "b",
        [],
        [None],
        ["a"],
        ["a", 1],
        ["b"],
        {},
        {"a": 1},
        {"a": 2},
        {"b": 0},
        {"b": 0, "a": 1},
    ]
    assert sorted(reversed(ordered), key=cmp_to_key(collate.compare)) == ordered
    ranks = [collate.rank(value) for value in ordered]
    assert ranks == sorted(ranks)


def test_whole_numbers_and_decimals_are_the_same_numbers() -> None:
    assert collate.compare(1, 1.0) == 0
    assert collate.compare([1, {"a": 2.0}], [1.0, {"a": 2}]) == 0
    assert collate.compare(1, True) > 0


def test_members_in_another_order_are_another_object() -> None:
    assert collate.compare({"a": 1, "b": 2}, {"b": 2, "a": 1}) < 0


@given(_VALUES, _VALUES, _VALUES)
def test_it_is_an_order(a: Any, b: Any, c: Any) -> None:
    compare = collate.compare
    assert compare(a, a) == 0
    assert (compare(a, b) > 0) == (compare(b, a) < 0)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@pytest.mark.parametrize(("left", "right"), [("a", "B"), (["a"], ["B"]), ({"a": 1}, {"B": 1})])
def test_strings_may_be_compared_in_another_way(left: Any, right: Any) -> None:
    def without_case(one: str, other: str) -> int:
        return collate.by_code_point(one.lower(), other.lower())

    assert collate.compare(left, right) > 0
    assert collate.compare(left, right, without_case) < 0
