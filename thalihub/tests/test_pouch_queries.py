"""PouchDB's `query` gets from a hub what it gets from its own database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from thalihub.tests.pouch import Pouch, PouchError
from thalihub.tests.test_pouchdb import alice, database, open_pouch

__all__ = ["alice", "database", "open_pouch"]

pytestmark = [pytest.mark.requires_node, pytest.mark.slow, pytest.mark.long]

DESIGN = {
    "_id": "_design/notes",
    "views": {
        "lib": {"words": "exports.count = function (text) { return text.split(' ').length; };"},
        "by_day": {
            "map": """function (doc) {
                if (doc.day) emit([doc.year, doc.month, doc.day], doc.words);
            }""",
            "reduce": "_sum",
        },
        "statistics": {
            "map": "function (doc) { if (doc.day) emit(doc.year, doc.words); }",
            "reduce": "_stats",
        },
        "longest": {
            "map": "function (doc) { if (doc.day) emit(doc.month, doc.words); }",
            "reduce": """function (keys, values, rereduce) {
                return Math.max.apply(null, values);
            }""",
        },
        "tags": {
            "map": "function (doc) { (doc.tags || []).forEach(function (tag) { emit(tag); }); }",
            "reduce": "_count",
        },
        "friends": {"map": "function (doc) { if (doc.friend) emit(doc.year, {_id: doc.friend}); }"},
    },
}


@pytest.fixture
def pouch(open_pouch: Callable[..., Pouch]) -> Pouch:
    """A PouchDB with 120 notes and their views, all of which are at the hub too."""
    opened = open_pouch()
    notes = [
        {
            "_id": f"note{n:03}",
            "year": 2020 + n % 3,
            "month": 1 + n % 4,
            "day": 1 + n % 5,
            "words": n * 7 % 50,
            "tags": ["a", "b", "c"][: n % 4],
            "friend": f"note{n * 2:03}",
        }
        for n in range(120)
    ]
    opened.local("bulkDocs", [*notes, DESIGN])
    opened.push()
    return opened


@pytest.mark.parametrize(
    ("view", "options"),
    [
        ("by_day", {}),
        ("by_day", {"group": True}),
        ("by_day", {"group_level": 1}),
        ("by_day", {"group_level": 2, "skip": 1, "limit": 3}),
        ("by_day", {"group_level": 2, "descending": True}),
        ("by_day", {"reduce": False, "startkey": [2021], "endkey": [2021, {}]}),
        ("by_day", {"startkey": [2020, 2], "endkey": [2021, 3, {}], "group_level": 2}),
        ("by_day", {"reduce": False, "descending": True, "skip": 100, "limit": 50}),
        ("by_day", {"reduce": False, "key": [2020, 1, 1], "include_docs": True}),
        ("by_day", {"keys": [[2020, 1, 1], [2021, 2, 3]], "reduce": False}),
        ("by_day", {"startkey": [2021], "endkey": [2022], "inclusive_end": False, "reduce": False}),
        ("statistics", {"group": True}),
        ("longest", {"group": True}),
        ("longest", {}),
        ("tags", {"group": True}),
        ("tags", {"reduce": False, "limit": 7, "skip": 30}),
        ("friends", {"include_docs": True}),
    ],
)
def test_a_query_is_answered_by_the_hub_as_by_pouchdb(
    pouch: Pouch, view: str, options: dict[str, Any]
) -> None:
    at_the_hub = pouch.remote("query", f"notes/{view}", options)
    assert at_the_hub["rows"]
    assert _comparable(at_the_hub) == _comparable(pouch.local("query", f"notes/{view}", options))


def _comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what PouchDB itself does in its own way.

    Its offset is the skip that was asked for, and it has no `doc` where a link leads nowhere.
    """
    rows = [{"doc": None} | row for row in answer["rows"]]
    return {"total_rows": answer.get("total_rows"), "rows": rows}


def test_a_query_follows_edits(pouch: Pouch) -> None:
    before = pouch.remote("query", "notes/by_day")["rows"][0]["value"]
    pouch.remote("put", pouch.remote("get", "note001") | {"words": 1007})
    pouch.remote("remove", pouch.remote("get", "note002"))
    after = pouch.remote("query", "notes/by_day")["rows"][0]["value"]
    assert after == before + 1000 - 14
    pouch.pull()
    assert pouch.local("query", "notes/by_day")["rows"][0]["value"] == after


def test_a_query_that_does_not_fit_fails_alike(pouch: Pouch) -> None:
    for ask in (pouch.local, pouch.remote):
        with pytest.raises(PouchError) as missing:
            ask("query", "notes/nothing")
        assert (missing.value.status, missing.value.name) == (404, "not_found")
        with pytest.raises(PouchError) as refused:
            ask("query", "notes/tags", {"include_docs": True})
        assert refused.value.name == "query_parse_error"
