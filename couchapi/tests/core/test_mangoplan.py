"""Which index serves a query: no document that matches is missed, and none is out of order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from couchapi.core import mango, mangoindex, mangoplan, mangoquery, sortkey
from couchapi.core.errors import BadRequest
from couchapi.core.mangoindex import Index

FIELDS = ("a", "b", "c.d", "c.0")
ATOMS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "A", "b", "é", "z"])
)
VALUES = (
    ATOMS | st.lists(ATOMS, max_size=2) | st.dictionaries(st.sampled_from("de"), ATOMS, max_size=2)
)
DOCUMENTS = st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES, "c": VALUES})
CONDITIONS = st.one_of(
    VALUES,
    *[
        st.dictionaries(st.just(name), VALUES, min_size=1)
        for name in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")
    ],
    st.dictionaries(st.just("$exists"), st.booleans(), min_size=1),
    st.fixed_dictionaries({"$gte": ATOMS, "$lt": ATOMS}),
    st.builds(lambda values: {"$in": values}, st.lists(ATOMS, max_size=3)),
    st.builds(lambda value: {"$not": {"$eq": value}}, ATOMS),
)
SELECTORS = st.recursive(
    st.dictionaries(st.sampled_from([*FIELDS, "c"]), CONDITIONS, min_size=1, max_size=3),
    lambda inner: st.builds(
        lambda name, members: {name: members},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)
INDEXES = st.builds(
    lambda fields: Index("_design/d", "i", tuple((field, "asc") for field in fields)),
    st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3, unique=True),
)
SORTS = st.lists(st.sampled_from(FIELDS), max_size=2, unique=True).map(
    lambda fields: tuple((field, "asc") for field in fields)
)


def key(index: Index, document: dict[str, Any]) -> list[Any] | None:
    paths = [mango.parse_field(column) for column in index.columns]
    return mangoindex.key_of(document, paths)


@pytest.mark.slow
@settings(max_examples=1500)
@given(st.lists(DOCUMENTS, max_size=6), SELECTORS, INDEXES)
def test_an_index_that_serves_misses_no_document(
    documents: list[dict[str, Any]], selector: dict[str, Any], index: Index
) -> None:
    matches = mango.compile(selector)
    (judged,) = mangoplan.candidates([index], selector, (), named=False)
    if judged.reasons:
        return
    low, high = mangoplan.span(index, selector)
    for document in filter(matches, documents):
        found = key(index, document)
        assert found is not None, document
        assert low <= sortkey.encode(found) < high, document


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.lists(DOCUMENTS, max_size=6), SELECTORS, INDEXES, SORTS)
def test_an_index_that_serves_is_in_order(
    documents: list[dict[str, Any]], selector: dict[str, Any], index: Index, sort: Any
) -> None:
    matches = mango.compile(selector)
    (judged,) = mangoplan.candidates([index], selector, sort, named=False)
    if judged.reasons or not sort:
        return
    rows = [document for document in documents if matches(document) and key(index, document)]
    rows.sort(key=lambda document: sortkey.encode(key(index, document)))
    sorted_by = Index(None, "", sort)
    orders = [sortkey.encode(key(sorted_by, document)) for document in rows]
    assert orders == sorted(orders)


@given(SELECTORS)
@pytest.mark.slow
def test_a_normalized_selector_matches_the_same(selector: dict[str, Any]) -> None:
    shown = mango.compile(mangoplan.normalized(selector))
    matches = mango.compile(selector)
    for value in (None, 0, 1, "a", [], {}, {"d": 1}):
        for document in ({"a": value}, {"b": value, "c": {"d": value}}, {"c": value}):
            assert shown(document) == matches(document)


def test_the_better_bounded_then_the_shorter_then_the_first_by_name_is_chosen() -> None:
    def made(name: str, *fields: str) -> Index:
        return Index(f"_design/{name}", name, tuple((field, "asc") for field in fields))

    def best(selector: dict[str, Any], *indexes: Index) -> str:
        chosen = mangoplan.best(mangoplan.candidates(indexes, selector, (), named=False))
        return chosen.index.name if chosen else ""

    one, two, other = made("one", "a"), made("two", "a", "b"), made("zwei", "a", "b")
    assert best({"a": 1, "b": 2}, two, one) == "one"
    assert best({"a": 1, "b": {"$exists": True}}, two, made("b", "b")) in ("b", "two")
    assert best({"a": 1, "b": 2}, other, two) == "two"
    assert best({"b": 2}, one, two) == ""
    assert best({"$or": [{"a": 1}, {"a": 2, "b": 1}]}, one, two) == "one"


def test_strings_are_in_the_order_of_the_index() -> None:
    # By code point A stands before a, as in no dictionary; ICU's order is CouchDB's.
    assert mango.compile({"a": {"$gt": "a"}})({"a": "A"})
    assert not mango.compile({"a": {"$gt": "A"}})({"a": "a"})
    assert mango.compile({"a": {"$lt": "f"}})({"a": "é"})


def test_bounds_on_the_id_are_found() -> None:
    assert mangoplan.id_bounds({"_id": "x"}) == ("x", "x")
    assert mangoplan.id_bounds({"_id": {"$gt": "a", "$lte": "c"}}) == ("a", "c")
    assert mangoplan.id_bounds({"_id": {"$gt": None}}) == (None, None)
    assert mangoplan.id_bounds({"$or": [{"_id": "x"}, {"a": 1}]}) == (None, None)


@given(st.lists(VALUES, max_size=3))
def test_a_bookmark_leads_back(place: list[Any]) -> None:
    text = mangoquery.bookmark("sig", place)
    assert mangoquery.resume(text, "sig") == place
    with pytest.raises(BadRequest):
        mangoquery.resume(text, "other")


@given(st.text(max_size=40))
def test_a_wrong_bookmark_is_refused(text: str) -> None:
    if text in ("", "nil"):
        return
    with pytest.raises(BadRequest):
        mangoquery.resume(text, "sig")


def test_a_projection_keeps_what_is_inside() -> None:
    document = {"a": {"b": {"c": 1, "d": 2}, "e": 3}, "f.g": 4, "h": None}
    project = mangoquery.projection(["a.b.c", "a.e", "f\\.g", "h", "none", "a.none"])
    assert project(document) == {"a": {"b": {"c": 1}, "e": 3}, "f.g": 4, "h": None}


@given(INDEXES)
def test_an_index_is_read_back_as_it_was_written(index: Index) -> None:
    design = {"language": "query", "views": {index.name: index.view()}}
    assert mangoindex.of_design("_design/d", design) == [index]
