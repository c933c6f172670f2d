"""Groups of views have signatures, and CouchDB's reduce functions reduce as CouchDB's do."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import mapreduce, sortkey
from couchapi.core.errors import BadRequest, NotFound
from couchapi.core.mapreduce import Reducer, Row, builtin, group

# -- groups ----------------------------------------------------------------------------------------

DESIGN = {
    "_id": "_design/d",
    "views": {
        "b": {"map": "B", "reduce": "_count"},
        "a": {"map": "A"},
        "same": {"map": "B", "reduce": " _sum "},
        "lib": {"module": "exports.x = 1"},
        "broken": 1,
        "mapless": {"reduce": "_sum"},
    },
}


def test_views_with_the_same_map_function_share_their_rows() -> None:
    found = group(DESIGN)
    assert list(found.views) == ["a", "b", "same"]
    assert [view.number for view in found.views.values()] == [0, 1, 1]
    assert [view.reduce for view in found.views.values()] == [None, "_count", "_sum"]
    assert found.maps == [0, 1]


def test_a_view_that_is_not_there_is_named_as_missing() -> None:
    for name in ("x", "lib", "broken", "mapless"):
        with pytest.raises(NotFound, match="missing_named_view"):
            group(DESIGN).view(name)


@pytest.mark.parametrize("design", [{}, {"views": 1}, {"views": {}}, {"options": 1}])
def test_a_design_document_may_have_no_views(design: dict[str, Any]) -> None:
    assert group(design).views == {}


def _changed(**members: Any) -> dict[str, Any]:
    return {**DESIGN, **members}


def test_the_signature_stands_for_what_rows_depend_on() -> None:
    signature = group(DESIGN).signature
    views = dict(reversed(DESIGN["views"].items()))  # type: ignore[attr-defined]
    assert group(_changed(_id="_design/e", filters={"f": "x"}, views=views)).signature == signature
    for changed in (
        _changed(language="query"),
        _changed(options={"local_seq": True}),
        _changed(views={**DESIGN["views"], "lib": {"module": "2"}}),  # type: ignore[dict-item]
        _changed(views={**DESIGN["views"], "a": {"map": "AA"}}),  # type: ignore[dict-item]
    ):
        assert group(changed).signature != signature


def test_options_are_read() -> None:
    assert group({"options": {"local_seq": True, "include_design": True}})[-2:] == (True, True)
    assert group({"options": {"local_seq": 1}})[-2:] == (False, False)


def test_functions_are_all_that_the_engine_needs() -> None:
    text = mapreduce.functions({**DESIGN, "filters": {"f": "F"}, "other": 1})
    assert sorted(orjson.loads(text)) == ["filters", "views"]


# -- reduce functions ------------------------------------------------------------------------------


def _reducer(name: str) -> Reducer:
    found = builtin(name)
    assert found is not None
    return found


def _rows(values: list[Any], keys: list[Any] | None = None) -> list[Row]:
    named = keys if keys is not None else list(range(len(values)))
    return [
        (sortkey.encode(key), f"d{n}", 0, orjson.dumps(key), mapreduce.dumps(value))
        for n, (key, value) in enumerate(zip(named, values, strict=True))
    ]


def _reduced(name: str, values: list[Any], *cuts: int) -> Any:
    """Reduce the pieces between `cuts`, and what they reduce to, through the kept text."""
    reducer = _reducer(name)
    rows = _rows(values)
    ends = [0, *cuts, len(rows)]
    pieces = [rows[low:high] for low, high in zip(ends, ends[1:], strict=False) if low < high]
    states = [mapreduce.dumps(reducer.reduce(piece)).decode() for piece in pieces]
    loaded = [mapreduce.loads(state) for state in states]
    return loaded[0] if len(loaded) == 1 else reducer.rereduce(loaded)


def test_rows_are_counted() -> None:
    assert _reduced("_count", [None, "x", 1]) == _reduced("_count", [None, "x", 1], 1) == 3


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([1, 2, 3.5], 6.5),
        ([2**62, 2**62, 2**62], 3 * 2**62),
        ([[1, 2], [3, 4, 5]], [4, 6, 5]),
        ([[1], 2], [3]),
        ([2, [1, 1]], [3, 1]),
        ([{"a": 1}, {"b": 2}, {"a": 3}], {"a": 4, "b": 2}),
        ([{"a": {"b": 1, "c": [1]}}, {"a": {"b": 2, "c": [2, 3]}}], {"a": {"b": 3, "c": [3, 3]}}),
    ],
)
def test_sums_of_numbers_arrays_and_objects(values: list[Any], total: Any) -> None:
    assert _reduced("_sum", values) == total
    assert _reduced("_sum", values, 1) == total


@pytest.mark.parametrize(
    "values",
    [
        ["x"],
        [1, None],
        [True],
        [[1], ["a"]],
        [1, {"a": 1}],
        [{"a": 1}, 1],
        [{"a": 1}, {"a": "x"}],
        [[1], {"a": 1}],
    ],
)
def test_what_cannot_be_summed_is_said_in_the_place_of_the_sum(values: list[Any]) -> None:
    for cuts in ((), (1,)):
        shown = _reduced("_sum", [*values, 5], *cuts)
        assert shown["error"] == "builtin_reduce_error"
        assert shown["reason"].startswith("The _sum function requires that map values be numbers")


def test_a_sum_that_grows_with_its_rows_is_refused() -> None:
    shown = _reduced("_sum", [{f"key{n}": 1} for n in range(1000)])
    assert "must shrink more rapidly" in shown["reason"]


@given(st.lists(st.integers(-(2**60), 2**60), min_size=1), st.data())
def test_statistics_are_those_of_all_rows(values: list[int], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=3)))
    assert _reduced("_stats", values, *cuts) == {
        "sum": sum(values),
        "count": len(values),
        "min": min(values),
        "max": max(values),
        "sumsqr": sum(value**2 for value in values),
    }
    assert _reduced("_sum", values, *cuts) == sum(values)


def test_statistics_of_arrays_and_of_statistics() -> None:
    both = _reduced("_stats", [[1, 10], [2, 20]], 1)
    assert [one["sum"] for one in both] == [3, 30]
    assert _reduced("_stats", [both[0], 3])["sumsqr"] == 14
    assert _reduced("_stats", [1.5, 2])["sum"] == 3.5


@pytest.mark.parametrize("values", [["x"], [1, None], [{"sum": 1}], [[1], [1, 2]], [[1], 1]])
def test_statistics_of_something_else_are_refused(values: list[Any]) -> None:
    for cuts in ((), (1,)):
        shown = _reduced("_stats", [*values], *cuts)
        assert shown["error"] == "builtin_reduce_error"
        assert "_stats function requires" in shown["reason"]


def test_keys_are_counted_once() -> None:
    reducer = _reducer("_approx_count_distinct")
    rows = _rows([None] * 300, [n % 100 for n in range(300)])
    states = [reducer.reduce(rows[:150]), reducer.reduce(rows[150:])]
    assert reducer.show is not None
    assert math.isclose(reducer.show(reducer.rereduce(states)), 100, rel_tol=0.03)


def test_javascript_is_no_builtin_and_an_unknown_one_is_refused() -> None:
    assert builtin("function(k, v) { return 1; }") is None
    assert builtin("_sum ") is not None
    for name in ("_top", "_sums", "_"):
        with pytest.raises(BadRequest, match="is not a supported reduce function"):
            builtin(name)


def test_halves_of_characters_are_read() -> None:
    assert mapreduce.parse(b'"\\ud800"') == "\ud800"
    assert sortkey.encode("\ud800") > sortkey.encode("z")
