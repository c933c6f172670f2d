"""Parameters of views are read and refused as CouchDB does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import sortkey
from couchapi.core.errors import BadRequest, BodyTooLarge, QueryParseError
from couchapi.core.viewparams import ViewQuery


def _asked(**pairs: str) -> ViewQuery:
    return ViewQuery.from_query(pairs)


def test_nothing_is_asked_by_default() -> None:
    query = _asked().checked(has_reduce=False)
    assert query == ViewQuery(reduce=False)
    assert query.ranges() == [((b"", "", 0), (b"\xff", "", 0))]
    assert _asked().checked(has_reduce=True).reduce is True


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ({"limit": "x"}, 'Invalid value for integer: "x"'),
        ({"skip": "-1"}, 'Invalid value for positive integer: "-1"'),
        ({"descending": "1"}, 'Invalid boolean parameter: "1"'),
        ({"sorted": "maybe"}, 'Invalid boolean parameter: "maybe"'),
        ({"stable": "maybe"}, 'Invalid boolean parameter: "maybe"'),
        ({"update": "maybe"}, "Invalid value for `update`."),
        ({"stale": "maybe"}, "Invalid value for `stale`."),
        ({"keys": "1"}, "`keys` must be an array of strings."),
        (
            {"keys": "[1]", "key": "1"},
            "`keys` is incompatible with `key`, `start_key` and `end_key`",
        ),
        (
            {"group": "false", "group_level": "1"},
            "Can't specify group=false and group_level>0 at the same time",
        ),
        ({"partition": "p"}, "`partition` is not supported."),
    ],
)
def test_what_cannot_be_read_is_refused(pairs: dict[str, str], reason: str) -> None:
    with pytest.raises(QueryParseError) as refused:
        ViewQuery.from_query(pairs)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("pairs", "has_reduce", "reason"),
    [
        ({"reduce": "true"}, False, "Reduce is invalid for map-only views."),
        ({"group": "true"}, False, "Invalid use of grouping on a map view."),
        ({"group_level": "2"}, False, "Invalid use of grouping on a map view."),
        ({"reduce": "false", "group": "true"}, True, "Invalid use of grouping on a map view."),
        ({"keys": "[1]"}, True, "Multi-key fetches for reduce views must use `group=true`"),
        (
            {"keys": "[1]", "group_level": "1"},
            True,
            "Multi-key fetches for reduce views must use `group=true`",
        ),
        ({"include_docs": "true"}, True, "`include_docs` is invalid for reduce"),
        ({"conflicts": "true"}, True, "`conflicts` is invalid for reduce views."),
        (
            {"startkey": "2", "endkey": "1"},
            False,
            "No rows can match your key range, reverse your start_key and end_key or set "
            "descending=true",
        ),
        (
            {"startkey": "1", "endkey": "2", "descending": "true"},
            True,
            "No rows can match your key range, reverse your start_key and end_key or set "
            "descending=false",
        ),
    ],
)
def test_what_does_not_fit_the_view_is_refused(
    pairs: dict[str, str], has_reduce: bool, reason: str
) -> None:
    with pytest.raises(QueryParseError) as refused:
        ViewQuery.from_query(pairs).checked(has_reduce=has_reduce)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "body",
    [
        {"startkey_docid": 1},
        {"endkey_docid": ["a"]},
        {"update": ["a"]},
        {"stale": {}},
        {"keys": {}},
        {"limit": 1.5},
        {"group": 1},
    ],
)
def test_a_body_of_other_types_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(QueryParseError):
        ViewQuery.from_body(body)


def test_keys_of_an_url_must_be_json() -> None:
    for name in ("key", "keys", "startkey", "end_key"):
        with pytest.raises(BadRequest):
            ViewQuery.from_query({name: "{"})


@pytest.mark.parametrize(
    ("pairs", "level"),
    [
        ({}, 0),
        ({"group": "false"}, 0),
        ({"group": "true"}, None),
        ({"group_level": "3"}, 3),
        ({"group": "true", "group_level": "2"}, 2),
        ({"group": "true", "group_level": "0"}, 0),
    ],
)
def test_the_level_of_groups(pairs: dict[str, str], level: int | None) -> None:
    assert ViewQuery.from_query(pairs).group_level == level


@pytest.mark.parametrize(
    ("pairs", "update"),
    [
        ({}, "true"),
        ({"update": "lazy"}, "lazy"),
        ({"update": "false"}, "false"),
        ({"stale": "ok"}, "false"),
        ({"stale": "update_after"}, "lazy"),
        ({"stale": "ok", "update": "true"}, "true"),
    ],
)
def test_when_the_index_is_brought_up_to_date(pairs: dict[str, str], update: str) -> None:
    assert ViewQuery.from_query(pairs).update == update
    assert ViewQuery.from_body({"update": False}).update == "false"


def test_a_body_goes_before_the_url_and_several_questions_share_it() -> None:
    assert ViewQuery.from_body({"limit": 1}, {"limit": "2", "skip": "3"}).limit == 1
    several = ViewQuery.many_from_body({"queries": [{"key": 1}, {}]}, {"skip": "3"})
    assert [(one.startkey, one.skip) for one in several] == [(1, 3), (..., 3)]
    for body in ({}, {"queries": 1}, {"queries": [1]}):
        with pytest.raises(BadRequest, match="`queries` member must be an array."):
            ViewQuery.many_from_body(body)


def test_a_request_holds_only_so_many_keys_and_questions() -> None:
    assert len(ViewQuery.from_body({"keys": [1] * 50_000}).keys or ()) == 50_000
    with pytest.raises(BodyTooLarge):
        ViewQuery.from_body({"keys": [1] * 50_001})
    with pytest.raises(BodyTooLarge):
        ViewQuery.many_from_body({"queries": [{}] * 1001})


# -- ranges ----------------------------------------------------------------------------------------

_ROWS = sorted((sortkey.encode(key), docid, 0) for key in range(4) for docid in "abc")


def _naive(query: ViewQuery) -> list[tuple[int, str]]:
    """Return (key, docid) of the rows that the range holds, by CouchDB's words."""
    rows = itertools.product(range(4), "abc")
    return [row for row in rows if _begun(query, *row) and not _ended(query, *row)]


def _begun(query: ViewQuery, key: int, docid: str) -> bool:
    if query.startkey is ... or key != query.startkey or query.start_docid is None:
        return query.startkey is ... or (key - query.startkey) * _sign(query) >= 0
    return docid <= query.start_docid if query.descending else docid >= query.start_docid


def _ended(query: ViewQuery, key: int, docid: str) -> bool:
    if query.endkey is ... or key != query.endkey:
        return query.endkey is not ... and (key - query.endkey) * _sign(query) > 0
    if query.end_docid is None or docid == query.end_docid:
        return not query.inclusive_end
    return docid < query.end_docid if query.descending else docid > query.end_docid


def _sign(query: ViewQuery) -> int:
    return -1 if query.descending else 1


_bounds = st.integers(-1, 4) | st.just(...)
_docids = st.none() | st.sampled_from(["a", "b", "c"])


@given(_bounds, _bounds, _docids, _docids, st.booleans(), st.booleans())
def test_a_range_holds_what_it_says(
    start: Any, end: Any, start_docid: str, end_docid: str, inclusive: bool, descending: bool
) -> None:
    query = ViewQuery(
        startkey=start,
        endkey=end,
        start_docid=start_docid,
        end_docid=end_docid,
        inclusive_end=inclusive,
        descending=descending,
    )
    ((low, high),) = query.ranges()
    keys = {sortkey.encode(key): key for key in range(4)}
    assert [(keys[row[0]], row[1]) for row in _ROWS if low <= row < high] == _naive(query)


def test_each_key_is_a_range_of_its_own() -> None:
    key, other = sortkey.encode("a"), sortkey.encode(1)
    a, one = ((key, "", 0), (key + b"\0", "", 0)), ((other, "", 0), (other + b"\0", "", 0))
    assert _asked(keys='["a",1]').ranges() == [a, one]
    assert _asked(keys='["a",1]', descending="true").ranges() == [one, a]
    assert _asked(keys="[]").ranges() == []
