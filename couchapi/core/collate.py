"""The order of JSON values: null, booleans, numbers, strings, arrays, objects.

Objects are compared member by member in the order they were written, as CouchDB does, so two
objects whose members stand in another order are not equal (CouchDB docs, "View collation").
Strings are compared by `strings`.  The default, by code point, is CouchDB's "raw" order; for views
CouchDB takes ICU's root collation, which a caller may pass instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Strings = Callable[[str, str], int]


def by_code_point(left: str, right: str) -> int:
    """Return less than, equal to or greater than 0, as `left` is to `right`."""
    return (left > right) - (left < right)


def rank(value: object) -> int:
    """Return the place of the value's type: 1 null, 2 boolean, … 6 object."""
    return _RANKS[type(value)]


def compare(left: Any, right: Any, strings: Strings = by_code_point) -> int:
    """Return less than, equal to or greater than 0, as `left` sorts before, with, after `right`."""
    place = _RANKS[type(left)]
    other = _RANKS[type(right)]
    if place != other:
        return place - other
    if place == _STRING:
        return strings(left, right)
    if place == _ARRAY:
        return _compare_members(list(enumerate(left)), list(enumerate(right)), strings)
    if place == _OBJECT:
        return _compare_members(list(left.items()), list(right.items()), strings)
    return 0 if left is None else (left > right) - (left < right)


_STRING, _ARRAY, _OBJECT = 4, 5, 6
_RANKS: dict[type, int] = {
    type(None): 1,
    bool: 2,
    int: 3,
    float: 3,
    str: _STRING,
    list: _ARRAY,
    dict: _OBJECT,
}


def _compare_members(
    left: list[tuple[Any, Any]], right: list[tuple[Any, Any]], strings: Strings
) -> int:
    for (name, value), (other_name, other_value) in zip(left, right, strict=False):
        order = compare(name, other_name, strings) or compare(value, other_value, strings)
        if order:
            return order
    return len(left) - len(right)
