"""Parameters are read as CouchDB reads them, and refused with its reasons."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import params
from couchapi.core.errors import BadRequest, CouchError, NotFound, QueryParseError
from couchapi.core.params import AllDocsQuery, ChangesQuery, DocumentQuery, KeyRange


def _reason(read: Any, *args: Any) -> tuple[str, str]:
    with pytest.raises(BadRequest) as refused:
        read(*args)
    return refused.value.word, refused.value.reason


def test_counts_are_not_negative_and_fit_the_store() -> None:
    assert params.count("0") == 0
    assert params.count("+7") == 7
    assert params.count(7) == 7
    assert params.count("9" * 30) == params.MAX_COUNT


@pytest.mark.parametrize(
    "value", ["", "x", "1.0", "1e9", " 1", "٣", "1" * 5000, 1.0, True, None, []]
)
def test_what_is_no_integer_is_refused(value: object) -> None:
    word, reason = _reason(params.count, value)
    assert word == "query_parse_error"
    assert reason.startswith("Invalid value for integer: ")


@pytest.mark.parametrize("value", ["-1", "-" + "9" * 40])
def test_a_negative_limit_is_refused_as_couchdb_does(value: str) -> None:
    expected = ("query_parse_error", f'Invalid value for positive integer: "{value}"')
    assert _reason(params.count, value) == expected
    assert _reason(AllDocsQuery.from_query, {"limit": value}) == expected
    assert _reason(AllDocsQuery.from_query, {"skip": value}) == expected
    assert _reason(ChangesQuery.from_query, {"limit": value}) == expected
    assert _reason(ChangesQuery.from_query, {"timeout": value}) == expected


def test_booleans_are_read_without_regard_to_case() -> None:
    assert params.boolean("TRUE")
    assert params.boolean(True)
    assert not params.boolean("false")
    for value in ("", "1", "yes", 1, None):
        assert _reason(params.boolean, value)[1].startswith("Invalid boolean parameter: ")


def test_a_document_query_holds_what_was_asked() -> None:
    query = DocumentQuery.from_query(
        {
            "rev": "2-b",
            "revs": "true",
            "open_revs": '["1-a", "2-b"]',
            "latest": "true",
            "local_seq": "true",
            "attachments": "true",
            "att_encoding_info": "true",
            "atts_since": '["1-a"]',
            "new_edits": "false",
            "batch": "ok",
        }
    )
    assert query == DocumentQuery(
        rev="2-b",
        revs=True,
        open_revs=("1-a", "2-b"),
        latest=True,
        local_seq=True,
        attachments=True,
        att_encoding_info=True,
        atts_since=("1-a",),
        new_edits=False,
        batch=True,
    )


def test_nothing_asked_is_nothing_set() -> None:
    assert DocumentQuery.from_query({}) == DocumentQuery()
    assert DocumentQuery.from_query({"unknown": "1", "revs": "false"}) == DocumentQuery()
    assert DocumentQuery.from_query({"open_revs": "all"}).open_revs == "all"


def test_meta_asks_for_three_things() -> None:
    query = DocumentQuery.from_query({"meta": "true"})
    assert (query.revs_info, query.conflicts, query.deleted_conflicts) == (True, True, True)
    assert not query.has_etag
    assert DocumentQuery.from_query({"revs": "true"}).has_etag


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({"rev": "foo"}, ("bad_request", "Invalid rev format")),
        ({"rev": ""}, ("bad_request", "Invalid rev format")),
        ({"open_revs": "foo"}, ("bad_request", "invalid UTF-8 JSON")),
        ({"open_revs": '"1-a"'}, ("bad_request", "Invalid list of revisions")),
        ({"open_revs": "[1]"}, ("bad_request", "Invalid rev format")),
        ({"atts_since": '["foo"]'}, ("bad_request", "Invalid rev format")),
        ({"new_edits": "no"}, ("query_parse_error", 'Invalid boolean parameter: "no"')),
        ({"open_revs": '["\ud800"]'}, ("bad_request", "invalid UTF-8 JSON")),
    ],
)
def test_bad_document_queries_are_refused(pairs: dict[str, str], expected: tuple[str, str]) -> None:
    assert _reason(DocumentQuery.from_query, pairs) == expected


def test_keys_are_json_and_have_two_spellings() -> None:
    assert AllDocsQuery.from_query({"startkey": '"a"', "endkey": '"b"'}) == (
        AllDocsQuery.from_query({"start_key": '"a"', "end_key": '"b"'})
    )
    assert AllDocsQuery.from_query({"keys": '["a",1,null]'}).keys == ("a", 1, None)
    assert AllDocsQuery.from_query({"key": "null"}).key is None
    assert AllDocsQuery.from_query({}).key is ...


def test_a_body_is_decoded_already_and_goes_before_the_url() -> None:
    query = AllDocsQuery.from_body(
        {"keys": ["a"], "include_docs": True, "limit": 3, "deleted": "ok"},
        {"limit": "5", "descending": "true"},
    )
    assert query == AllDocsQuery(keys=("a",), include_docs=True, limit=3, descending=True)
    assert AllDocsQuery.from_body({"startkey": "a"}).startkey == "a"


def test_several_queries_are_read_from_one_body() -> None:
    queries = AllDocsQuery.many_from_body({"queries": [{"key": "a"}, {"limit": 0}]})
    assert queries == [AllDocsQuery(key="a"), AllDocsQuery(limit=0)]
    for body in ({}, {"queries": {}}, {"queries": [1]}):
        expected = ("bad_request", "`queries` member must be an array.")
        assert _reason(AllDocsQuery.many_from_body, body) == expected


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({"startkey": "a"}, ("bad_request", "invalid UTF-8 JSON")),
        ({"keys": '"a"'}, ("bad_request", "`keys` member must be an array.")),
        ({"include_docs": "1"}, ("query_parse_error", 'Invalid boolean parameter: "1"')),
        (
            {"keys": "[]", "key": '"a"'},
            (
                "query_parse_error",
                "`keys` is incompatible with `key`, `start_key` and `end_key`.",
            ),
        ),
        ({"reduce": "true"}, ("query_parse_error", "`reduce` is invalid for map-only views.")),
        (
            {"group_level": "1"},
            ("query_parse_error", "`group_level` is invalid for map-only views."),
        ),
        ({"partition": "a"}, ("query_parse_error", "`partition` is not supported.")),
    ],
)
def test_bad_list_queries_are_refused(pairs: dict[str, str], expected: tuple[str, str]) -> None:
    assert _reason(AllDocsQuery.from_query, pairs) == expected


@pytest.mark.parametrize("query", [DocumentQuery, AllDocsQuery, ChangesQuery])
def test_jsonp_is_not_there(query: Any) -> None:
    with pytest.raises(NotFound):
        query.from_query({"callback": "f"})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, KeyRange(None, None, True)),
        ({"key": "a"}, KeyRange("a", "a", True)),
        ({"key": "a", "inclusive_end": False}, KeyRange("a", "a", True)),
        ({"key": 1}, None),
        ({"startkey": "a", "endkey": "b", "inclusive_end": False}, KeyRange("a", "b", False)),
        ({"startkey": None, "endkey": {}}, KeyRange(None, None, True)),
        ({"startkey": []}, None),
        ({"endkey": 7}, None),
        ({"startkey": {}, "endkey": None, "descending": True}, KeyRange(None, None, True)),
        ({"startkey": 1, "descending": True}, None),
        ({"endkey": [], "descending": True}, None),
    ],
)
def test_other_types_lie_before_or_after_all_ids(
    asked: dict[str, Any], expected: KeyRange | None
) -> None:
    assert AllDocsQuery.from_body(asked).key_range() == expected


_IDS = st.text("abc", max_size=2)


@given(
    st.sets(_IDS), _IDS, _IDS, st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 3)
)
@pytest.mark.slow
def test_a_list_of_names_is_cut_as_asked(
    names: set[str], start: str, end: str, inclusive: bool, down: bool, skip: int, limit: int
) -> None:
    query = AllDocsQuery(
        startkey=start,
        endkey=end,
        inclusive_end=inclusive,
        descending=down,
        skip=skip,
        limit=limit,
    )
    sign = -1 if down else 1
    shown = [
        name
        for name in sorted(names, reverse=down)
        if _order(start, name) * sign <= 0
        and (_order(name, end) * sign < 0 or (inclusive and name == end))
    ]
    assert query.apply(sorted(names)) == shown[skip : skip + limit]


def _order(left: str, right: str) -> int:
    return (left > right) - (left < right)


def test_a_changes_query_holds_what_was_asked() -> None:
    query = ChangesQuery.from_query(
        {
            "feed": "live",
            "since": "5-x",
            "limit": "0",
            "descending": "true",
            "style": "all_docs",
            "include_docs": "true",
            "attachments": "true",
            "att_encoding_info": "true",
            "conflicts": "true",
            "revs": "true",
            "heartbeat": "10000",
            "timeout": "500",
            "seq_interval": "10",
            "filter": "app/mine",
            "view": "ignored",
        }
    )
    assert query == ChangesQuery(
        feed="continuous",
        since="5-x",
        limit=0,
        descending=True,
        style="all_docs",
        include_docs=True,
        attachments=True,
        att_encoding_info=True,
        conflicts=True,
        revs=True,
        heartbeat=10000,
        timeout=500,
        seq_interval=10,
        filter="app/mine",
    )
    assert ChangesQuery.from_query({}) == ChangesQuery()
    assert ChangesQuery.from_query({"heartbeat": "true"}).heartbeat == 60_000


def test_the_last_event_of_an_event_source_goes_before_since() -> None:
    pairs = {"feed": "eventsource", "since": "1"}
    assert ChangesQuery.from_query(pairs, last_event_id="7-x").since == "7-x"
    assert ChangesQuery.from_query(pairs).since == "1"
    assert ChangesQuery.from_query({"since": "1"}, last_event_id="7-x").since == "1"


def test_filters_bring_what_they_need() -> None:
    by_ids = {"filter": "_doc_ids"}
    assert ChangesQuery.from_query({**by_ids, "doc_ids": '["a"]'}).doc_ids == ("a",)
    assert ChangesQuery.from_query(by_ids, body={"doc_ids": ["b"]}).doc_ids == ("b",)
    by_selector = ChangesQuery.from_query({"filter": "_selector"}, body={"selector": {"a": 1}})
    assert by_selector.selector == {"a": 1}
    assert ChangesQuery.from_query({"filter": "_view", "view": "d/v"}).view == "d/v"
    assert ChangesQuery.from_query({"filter": "_design"}).filter == "_design"


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        (
            {"feed": "foo"},
            "Supported `feed` types: normal, continuous, live, longpoll, eventsource",
        ),
        ({"style": "foo"}, "Supported `style` values: main_only, all_docs"),
        (
            {"heartbeat": "-1000"},
            "The heartbeat value should be a positive integer (in milliseconds).",
        ),
        (
            {"heartbeat": "a1000"},
            "Invalid heartbeat value. Expecting a positive integer value (in milliseconds).",
        ),
        ({"seq_interval": "0"}, "invalid_seq_interval"),
        ({"timeout": "x"}, 'Invalid value for integer: "x"'),
        ({"filter": "_foo"}, "unknown builtin filter name"),
        ({"filter": "foo"}, "filter must be of the form `designname/filtername`"),
        ({"filter": "_view"}, "`view` filter parameter is not provided."),
        ({"filter": "_view", "view": "v"}, "`view` must be of the form `designname/viewname`"),
        ({"filter": "_doc_ids"}, "`doc_ids` filter parameter is not a list of doc ids."),
        (
            {"filter": "_doc_ids", "doc_ids": "[1]"},
            "`doc_ids` filter parameter is not a list of doc ids.",
        ),
        ({"filter": "_selector"}, "Selector must be specified in POST payload"),
    ],
)
def test_bad_changes_queries_are_refused(pairs: dict[str, str], reason: str) -> None:
    assert _reason(ChangesQuery.from_query, pairs)[1] == reason


def test_a_selector_must_be_an_object() -> None:
    with pytest.raises(BadRequest, match="Selector error: expected a JSON object"):
        ChangesQuery.from_query({"filter": "_selector"}, body={"selector": []})


_NAMES = st.sampled_from(
    [
        "rev",
        "open_revs",
        "atts_since",
        "new_edits",
        "key",
        "keys",
        "startkey",
        "endkey",
        "limit",
        "skip",
        "descending",
        "feed",
        "since",
        "style",
        "heartbeat",
        "timeout",
        "seq_interval",
        "filter",
        "view",
        "doc_ids",
        "include_docs",
    ]
)


@pytest.mark.slow
@given(st.dictionaries(_NAMES, st.text(max_size=8)))
@pytest.mark.parametrize("query", [DocumentQuery, AllDocsQuery, ChangesQuery])
def test_any_text_is_read_or_refused_in_couchdbs_form(query: Any, pairs: dict[str, str]) -> None:
    try:
        query.from_query(pairs)
    except CouchError as refused:
        assert 400 <= refused.status < 500


def test_query_parse_errors_are_bad_requests() -> None:
    assert issubclass(QueryParseError, BadRequest)
