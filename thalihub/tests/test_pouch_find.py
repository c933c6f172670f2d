"""PouchDB's `find` gets from a hub what it gets from its own database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from thalihub.tests.pouch import Pouch, PouchError
from thalihub.tests.test_pouchdb import alice, database, open_pouch

__all__ = ["alice", "database", "open_pouch"]

pytestmark = [pytest.mark.requires_node, pytest.mark.slow]

INDEXES = [
    {"index": {"fields": ["year"]}, "ddoc": "by-year", "name": "year"},
    {"index": {"fields": ["author.name", "year"]}, "ddoc": "by-author", "name": "author"},
]


@pytest.fixture
def pouch(open_pouch: Callable[..., Pouch]) -> Pouch:
    """A PouchDB with 60 books and two indexes, all of which are at the hub too."""
    opened = open_pouch()
    books = [
        {
            "_id": f"book{n:02}",
            "year": 1990 + n * 7 % 30,
            "author": {"name": "ABCD"[n % 4]},
            "tags": ["a", "b", "c"][: n % 4],
            **({"price": n} if n % 3 else {}),
        }
        for n in range(60)
    ]
    opened.local("bulkDocs", books)
    for each in INDEXES:
        opened.local("createIndex", each)
    opened.push()
    return opened


@pytest.mark.parametrize(
    "asked",
    [
        {"selector": {"year": {"$gt": 2000}}},
        {"selector": {"year": {"$gte": 2000, "$lt": 2010}}, "sort": ["year"]},
        {"selector": {"year": {"$gt": 2000}}, "sort": [{"year": "desc"}], "limit": 5, "skip": 3},
        {"selector": {"author.name": "B", "year": {"$lte": 2005}}, "fields": ["_id", "author"]},
        {"selector": {"author.name": {"$in": ["A", "C"]}, "price": {"$exists": True}}},
        {"selector": {"tags": {"$all": ["a", "b"]}, "price": {"$mod": [2, 1]}}},
        {"selector": {"$or": [{"year": 1990}, {"author.name": "D"}], "year": {"$ne": 1997}}},
        {"selector": {"_id": {"$gt": "book50"}}},
        {"selector": {"tags": {"$elemMatch": {"$eq": "c"}}, "price": {"$type": "number"}}},
    ],
)
def test_a_find_is_answered_by_the_hub_as_by_pouchdb(pouch: Pouch, asked: dict[str, Any]) -> None:
    at_the_hub, here = (ask("find", {"limit": 60, **asked}) for ask in (pouch.remote, pouch.local))
    assert at_the_hub["docs"]
    if "sort" not in asked:
        for answer in (at_the_hub, here):
            answer["docs"].sort(key=lambda doc: doc["_id"])
    assert at_the_hub["docs"] == here["docs"]


def test_indexes_that_pouchdb_made_are_the_hubs_too(pouch: Pouch) -> None:
    listed = [ask("getIndexes")["indexes"] for ask in (pouch.remote, pouch.local)]
    at_the_hub, here = ({one["name"]: one["def"]["fields"] for one in each} for each in listed)
    assert at_the_hub == here
    assert at_the_hub.keys() == {"_all_docs", "year", "author"}
    assert pouch.remote("createIndex", INDEXES[0])["result"] == "exists"


def test_an_index_of_the_hub_is_used_where_it_is_replicated_to(pouch: Pouch) -> None:
    made = {"index": {"fields": ["price"]}, "ddoc": "by-price", "name": "price"}
    assert pouch.remote("createIndex", made)["result"] == "created"
    pouch.pull()
    asked = {"selector": {"price": {"$gt": 30}}, "sort": ["price"]}
    assert pouch.local("explain", asked)["index"]["name"] == "price"
    assert pouch.remote("explain", asked)["index"]["name"] == "price"
    assert pouch.local("find", asked)["docs"] == pouch.remote("find", asked)["docs"]


def test_an_index_is_deleted(pouch: Pouch) -> None:
    asked = {"selector": {"year": {"$gt": 2000}}, "sort": ["year"]}
    (index,) = [one for one in pouch.remote("getIndexes")["indexes"] if one["name"] == "year"]
    assert pouch.remote("deleteIndex", index) == {"ok": True}
    with pytest.raises(PouchError) as refused:
        pouch.remote("find", asked)
    # PouchDB 9 hands on the status and the reason, and not the word.
    assert refused.value.status == 400
    assert "No index exists for this sort" in refused.value.reason + refused.value.message
