"""Views as CouchDB answers them: rows, documents with them, groups."""

from __future__ import annotations

from typing import Any

import pytest

from couchapi.core import mapreduce
from couchapi.store import segments
from couchapi.tests.endpoints.tenviews import Ask, ask, ids_of, ten, write
from couchapi.viewreader import rows

__all__ = ["ask", "ten"]


# -- rows ------------------------------------------------------------------------------------------


async def test_rows_come_in_the_order_of_keys(ask: Ask) -> None:
    answer = await ask("by_n")
    assert (answer["total_rows"], answer["offset"]) == (10, 0)
    assert answer["rows"][0] == {"id": "d0", "key": 0, "value": "even"}
    assert ids_of(answer) == "0123456789"
    assert "update_seq" not in answer


@pytest.mark.parametrize(
    ("params", "ids", "offset"),
    [
        ({"key": 3}, "3", 3),
        ({"key": '"3"'}, "", 10),
        ({"startkey": 7}, "789", 7),
        ({"start_key": 3, "end_key": 5}, "345", 3),
        ({"startkey": 3, "endkey": 5, "inclusive_end": "false"}, "34", 3),
        ({"descending": "true"}, "9876543210", 0),
        ({"descending": "true", "startkey": 5, "endkey": 3}, "543", 4),
        ({"descending": "true", "startkey": 5, "endkey": 3, "inclusive_end": "false"}, "54", 4),
        ({"limit": 2, "skip": 3}, "34", 3),
        ({"limit": 2, "skip": 3, "descending": "true"}, "65", 3),
        ({"skip": 20}, "", 10),
        ({"limit": 0}, "", 0),
        ({"keys": "[5,1,5,77]"}, "515", 5),
        ({"keys": "[5,1,3]", "descending": "true"}, "315", 6),
        ({"keys": "[5,1,3]", "skip": 1, "limit": 1}, "1", 6),
        ({"keys": "[]"}, "", 0),
        ({"startkey": "null", "endkey": "{}"}, "0123456789", 0),
        ({"sorted": "false", "stable": "true"}, "0123456789", 0),
    ],
)
async def test_a_part_of_the_rows_is_shown(ask: Ask, params: Any, ids: str, offset: int) -> None:
    answer = await ask("by_n", **params)
    assert ids_of(answer) == ids
    assert answer["total_rows"] == 10
    assert answer["offset"] == offset


async def test_ids_divide_the_rows_of_one_key(owner: Any, ten: str) -> None:
    async def _ask(**params: Any) -> str:

        return ids_of((await owner.post(f"{ten}/_design/d/_view/twice", params)).json())

    part = {"startkey": 1, "endkey": 1, "startkey_docid": "d3", "endkey_docid": "d4"}
    assert await _ask(**part) == "3344"
    assert await _ask(key=1, start_key_doc_id="d9") == "99"
    down = {"startkey_docid": "d4", "endkey_docid": "d3", "descending": True}
    assert await _ask(startkey=1, endkey=1, **down) == "4433"


async def test_a_document_may_have_several_rows_under_one_key(ask: Ask) -> None:
    answer = await ask("twice", limit=3)
    assert [(row["id"], row["value"]) for row in answer["rows"]] == [
        ("d0", "a"),
        ("d0", "b"),
        ("d1", "a"),
    ]
    assert answer["total_rows"] == 20


async def test_the_parameters_may_stand_in_the_body(owner: Any, ten: str) -> None:
    path = f"{ten}/_design/d/_view/by_n"
    assert ids_of((await owner.post(path, {"keys": [2, 1]})).json()) == "21"
    empty = await owner("POST", path, b"", headers={"content-type": "application/json"})
    assert len(empty.json()["rows"]) == 10
    assert (await owner("POST", path, {}, headers={"content-type": "text/plain"})).status == 415


async def test_several_questions_are_answered_in_their_order(owner: Any, ten: str) -> None:
    path = f"{ten}/_design/d/_view/count/queries"
    queries = [{"group_level": 1}, {"reduce": False, "limit": 1}, {}]
    answer = await owner.post(path, {"queries": queries})
    grouped, listed, whole = answer.json()["results"]
    assert [row["key"] for row in grouped["rows"]] == [["even"], ["odd"]]
    assert listed["total_rows"] == 10
    assert whole == {"rows": [{"key": None, "value": 10}]}
    assert (await owner.post(path, {"queries": []})).json() == {"results": []}
    assert (await owner.post(path, {"queries": [{"limit": -1}]})).status == 400


@pytest.mark.parametrize(
    ("view", "params"),
    [
        ("by_n", {"reduce": "true"}),
        ("by_n", {"group": "true"}),
        ("by_n", {"limit": "x"}),
        ("by_n", {"startkey": 3, "endkey": 1}),
        ("by_n", {"partition": "p"}),
        ("count", {"include_docs": "true"}),
        ("count", {"keys": "[1]"}),
    ],
)
async def test_a_query_that_does_not_fit_is_refused(
    owner: Any, ten: str, view: str, params: Any
) -> None:
    answer = await owner.get(f"{ten}/_design/d/_view/{view}", **params)
    assert answer.status == 400
    assert answer.json()["error"] == "query_parse_error"


async def test_what_is_not_there_is_said(owner: Any, ten: str) -> None:
    async def reason(path: str) -> str:
        answer = await owner.get(path)
        assert answer.status == 404
        return str(answer.json()["reason"])

    assert await reason("/nothing/_design/d/_view/v") == "Database does not exist."
    assert await reason(f"{ten}/_design/x/_view/v") == "missing"
    assert await reason(f"{ten}/_design/d/_view/v") == "missing_named_view"
    assert await reason(f"{ten}/_design/x/_info") == "missing"
    rev = (await owner.get(f"{ten}/_design/d")).json()["_rev"]
    await owner.delete(f"{ten}/_design/d", rev=rev)
    assert await reason(f"{ten}/_design/d/_view/by_n") == "deleted"


async def test_views_in_another_language_are_refused(owner: Any, database: str) -> None:
    design = {"language": "erlang", "views": {"v": {"map": "fun({Doc}) -> ok end."}}}
    await owner.put(f"{database}/_design/d", design)
    answer = await owner.get(f"{database}/_design/d/_view/v")
    assert (answer.status, answer.json()["error"]) == (400, "bad_request")


async def test_a_function_that_is_none_is_said(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {})
    await owner.put(f"{database}/_design/d", {"views": {"v": {"map": "function ("}}})
    answer = await owner.get(f"{database}/_design/d/_view/v")
    assert (answer.status, answer.json()["error"]) == (400, "compilation_error")


async def test_names_may_hold_slashes_and_spaces(owner: Any, database: str) -> None:
    views = {"a/b c": {"map": "function (doc) { emit(null, 1); }"}}
    await owner.put(f"{database}/_design/d%2Fe", {"views": views})
    await owner.put(f"{database}/x", {})
    answer = await owner.get(f"{database}/_design/d%2Fe/_view/a%2Fb%20c")
    assert answer.status == 200, answer.body
    assert answer.json()["total_rows"] == 1


async def test_a_long_view_is_sent_whole(
    owner: Any, ask: Ask, ten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_PAGE", 3)
    monkeypatch.setattr(segments, "SIZE", 2)
    await write(owner, ten, range(10, 25))
    expected = [f"d{n}" for n in range(25)]
    for params, shown in (
        ({}, expected),
        ({"descending": "true"}, expected[::-1]),
        ({"skip": 7, "limit": 9}, expected[7:16]),
        ({"skip": 7, "limit": 9, "descending": "true"}, expected[::-1][7:16]),
        ({"startkey": 4, "skip": 3}, expected[7:]),
        ({"startkey": 20, "endkey": 4, "skip": 3, "descending": "true"}, expected[17:3:-1]),
        ({"keys": str(list(range(25)))}, expected),
    ):
        answer = await ask("by_n", **params)
        assert [row["id"] for row in answer["rows"]] == shown


# -- documents -------------------------------------------------------------------------------------


async def test_documents_are_included(owner: Any, ask: Ask, ten: str) -> None:
    (row,) = (await ask("by_n", key=3, include_docs="true"))["rows"]
    assert row["doc"] == (await owner.get(f"{ten}/d3")).json()


async def test_a_row_may_link_to_another_document(owner: Any, ask: Ask, ten: str) -> None:
    rev = (await owner.put(f"{ten}/old", {"n": 1})).json()["rev"]
    await owner.put(f"{ten}/old", {"_rev": rev, "n": 2})
    gone = (await owner.put(f"{ten}/gone", {})).json()["rev"]
    await owner.delete(f"{ten}/gone", rev=gone)
    links = {"a": "d1", "b": "missing", "c": "gone", "e": "old"}
    for docid, friend in links.items():
        await owner.put(f"{ten}/{docid}", {"friend": friend})
    await owner.put(f"{ten}/f", {"friend": "old", "rev": rev})
    found = (await ask("linked", include_docs="true", keys='["a","b","c","e","f"]'))["rows"]
    shown = [row["doc"] and row["doc"].get("n") for row in found]
    assert shown == [1, None, None, 2, 1]
    assert found[0]["doc"]["_id"] == "d1"
    assert found[0]["id"] == "a"


async def test_many_rows_with_one_large_document_are_sent_few_at_a_time(
    owner: Any, database: str
) -> None:
    source = "function (doc) { for (var n = 0; n < 300; n++) emit(n, null); }"
    await owner.put(f"{database}/large", {"x": "x" * 300_000})
    await owner.put(f"{database}/_design/d", {"views": {"v": {"map": source}}})
    path = f"{database}/_design/d/_view/v"
    async with owner.open(path, include_docs="true", limit=200) as answer:
        sizes = [len(piece) async for piece in answer.pieces()]
    assert sum(sizes) > 200 * 300_000
    assert max(sizes) < 20_000_000


async def test_conflicts_and_attachments_are_included_where_they_are_asked_for(
    owner: Any, couch_database: str
) -> None:
    file = {"f": {"content_type": "text/plain", "data": "YWJj"}}
    docs = [{"_id": "d", "_rev": f"1-{x * 32}", "_attachments": file} for x in "ab"]
    await owner.post(f"{couch_database}/_bulk_docs", {"docs": docs, "new_edits": False})
    views = {"v": {"map": "function (doc) { emit(doc._conflicts, null); }"}}
    await owner.put(f"{couch_database}/_design/d", {"views": views})
    path = f"{couch_database}/_design/d/_view/v"
    params = {"include_docs": "true", "conflicts": "true", "attachments": "true"}
    (row,) = (await owner.get(path, **params)).json()["rows"]
    assert row["key"] == row["doc"]["_conflicts"] == ["1-" + "a" * 32]
    assert row["doc"]["_attachments"]["f"]["data"] == "YWJj"
    (row,) = (await owner.get(path, include_docs="true")).json()["rows"]
    assert "_conflicts" not in row["doc"]
    assert row["doc"]["_attachments"]["f"]["stub"] is True


# -- groups ----------------------------------------------------------------------------------------


async def test_rows_are_reduced_whole_and_by_groups(ask: Ask) -> None:
    assert await ask("count") == {"rows": [{"key": None, "value": 10}]}
    assert (await ask("count", group_level=1))["rows"] == [
        {"key": ["even"], "value": 6},
        {"key": ["odd"], "value": 4},
    ]
    grouped = (await ask("total", group="true"))["rows"]
    assert grouped == [
        {"key": ["even", 0], "value": 12},
        {"key": ["even", 1], "value": 15},
        {"key": ["odd", 0], "value": 8},
        {"key": ["odd", 1], "value": 10},
    ]
    assert (await ask("total", group="true", descending="true"))["rows"] == grouped[::-1]
    assert (await ask("total", group="true", skip=1, limit=2))["rows"] == grouped[1:3]
    assert (await ask("total", group_level=7))["rows"] == grouped
    assert (await ask("total", group="true", limit=0))["rows"] == []


async def test_statistics_are_shown(ask: Ask) -> None:
    (row,) = (await ask("kinds", startkey='["odd"]', endkey='["odd",{}]'))["rows"]
    assert row["value"] == {"sum": 18, "count": 4, "min": 2, "max": 7, "sumsqr": 98}


async def test_each_key_is_a_group(ask: Ask) -> None:
    keys = '[["odd",1],["x"],["even",0]]'
    found = (await ask("count", keys=keys, group="true"))["rows"]
    assert found == [{"key": ["odd", 1], "value": 2}, {"key": ["even", 0], "value": 3}]


async def test_nothing_reduces_to_no_row(ask: Ask) -> None:
    assert await ask("count", key="5") == {"rows": []}
    assert (await ask("count", key="5", reduce="false"))["rows"] == []


async def test_a_reduce_function_that_throws_is_said(owner: Any, ten: str) -> None:
    views = {"v": {"map": "function (doc) { emit(1); }", "reduce": "function () { throw 1; }"}}
    await owner.put(f"{ten}/_design/e", {"views": views})
    answer = await owner.get(f"{ten}/_design/e/_view/v")
    assert answer.status >= 400
    assert set(answer.json()) == {"error", "reason"}


async def test_an_unknown_function_of_couchdbs_own_is_said(owner: Any, ten: str) -> None:
    views = {"v": {"map": "function (doc) { emit(1); }", "reduce": "_median"}}
    await owner.put(f"{ten}/_design/e", {"views": views})
    answer = await owner.get(f"{ten}/_design/e/_view/v")
    assert answer.status == 400
    assert answer.json()["reason"] == "`_median` is not a supported reduce function."
    assert (await owner.get(f"{ten}/_design/e/_view/v", reduce="false")).status == 200


async def test_only_segments_that_changed_are_reduced_again(
    owner: Any, ask: Ask, ten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SIZE", 5)
    await write(owner, ten, range(10, 200))
    assert (await ask("count"))["rows"][0]["value"] == 200
    reduced: list[int] = []
    counting = mapreduce.builtin("_count")
    assert counting is not None

    def noting(rows: Any) -> int:
        reduced.append(len(rows))
        return len(rows)

    monkeypatch.setitem(mapreduce._BUILTIN, "_count", counting._replace(reduce=noting))
    assert (await ask("count"))["rows"][0]["value"] == 200
    assert reduced == []
    await write(owner, ten, [1000])
    assert (await ask("count"))["rows"][0]["value"] == 201
    assert len(reduced) == 1
    assert reduced[0] <= 10
