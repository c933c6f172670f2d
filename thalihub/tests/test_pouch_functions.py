"""PouchDB replicates with a hub whose design documents judge and filter what it sends and gets."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from thalihub.tests.hubprocess import HubProcess, Person
from thalihub.tests.pouch import Pouch, PouchError
from thalihub.tests.test_pouchdb import open_pouch

__all__ = ["open_pouch"]

pytestmark = [pytest.mark.requires_node, pytest.mark.slow]

Open = Callable[..., Pouch]
_numbers = itertools.count(1)

DESIGN = {
    "_id": "_design/rules",
    "validate_doc_update": """function (doc, old, user) {
        if (doc.type === 'secret') throw({forbidden: 'no secrets'});
        if (doc.type === 'other' && doc.author !== user.name) throw({unauthorized: 'not yours'});
    }""",
    "filters": {
        "of": "function (doc, req) { return doc.type === req.query.type; }",
        "throws": "function () { throw new Error('odd'); }",
    },
    "views": {"notes": {"map": "function (doc) { if (doc.type === 'note') emit(doc._id); }"}},
}
DOCUMENTS = [
    {"_id": "a", "type": "note"},
    {"_id": "b", "type": "list"},
    {"_id": "c", "type": "note"},
    {"_id": "d", "type": "list"},
]


@pytest.fixture(scope="module")
def alice(hub: HubProcess) -> Person:
    """Whose PouchDBs these are: functions are asked about what the owner writes, too."""
    return hub.owner


@pytest.fixture
def database(hub: HubProcess) -> str:
    """A new database of the owner's."""
    name = f"judged{next(_numbers)}"
    with hub.client(hub.owner) as owner:
        assert owner.put(f"/{name}").status_code == 201
    return name


@pytest.fixture
def laptop(open_pouch: Open) -> Pouch:
    """A PouchDB with an empty database, and the design document at the hub."""
    opened = open_pouch()
    opened.remote("put", DESIGN)
    return opened


def test_what_a_validator_refuses_is_denied_and_the_rest_is_pushed(laptop: Pouch) -> None:
    refused = [{"_id": "s", "type": "secret"}, {"_id": "t", "type": "other", "author": "me"}]
    laptop.local("bulkDocs", [*DOCUMENTS, *refused])
    pushed = laptop.push()
    assert pushed["ok"]
    assert (pushed["docs_written"], pushed["doc_write_failures"]) == (4, 2)
    said = {(one["id"], one["name"], one["reason"]) for one in pushed["denied"]}
    assert said == {("s", "forbidden", "no secrets"), ("t", "unauthorized", "not yours")}
    assert {row["id"] for row in laptop.remote("allDocs")["rows"]} == {
        "_design/rules",
        *(one["_id"] for one in DOCUMENTS),
    }


def test_a_put_that_a_validator_refuses_fails(laptop: Pouch) -> None:
    with pytest.raises(PouchError) as refused:
        laptop.remote("put", {"_id": "s", "type": "secret"})
    assert (refused.value.status, refused.value.name) == (403, "forbidden")
    with pytest.raises(PouchError) as refused:
        laptop.remote("put", {"_id": "t", "type": "other", "author": "me"})
    assert (refused.value.status, refused.value.name) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"filter": "rules/of", "query_params": {"type": "list"}}, {"b", "d"}),
        ({"filter": "_view", "view": "rules/notes"}, {"a", "c"}),
        ({"doc_ids": ["a", "d", "none"]}, {"a", "d"}),
        ({"selector": {"type": "note", "_id": {"$gt": "b"}}}, {"c"}),
        ({"filter": "rules/of", "query_params": {"type": "list"}, "batch_size": 1}, {"b", "d"}),
    ],
)
def test_a_filtered_pull_brings_what_passes(
    laptop: Pouch, open_pouch: Open, options: dict[str, Any], expected: set[str]
) -> None:
    laptop.remote("bulkDocs", DOCUMENTS)
    phone = open_pouch()
    assert phone.pull(**options)["docs_written"] == len(expected)
    assert {row["id"] for row in phone.local("allDocs")["rows"]} == expected


def test_a_live_filtered_pull_follows_what_passes(laptop: Pouch, open_pouch: Open) -> None:
    phone = open_pouch()
    wanted = {"filter": "rules/of", "query_params": {"type": "list"}}
    phone.start_sync(pull=wanted, push={"selector": {"type": "nothing"}})
    laptop.remote("bulkDocs", DOCUMENTS)
    phone.awaits("d", type="list")
    assert {row["id"] for row in phone.local("allDocs")["rows"]} == {"b", "d"}
    state = phone.stop_sync()
    assert not state.keys() & {"denied", "error", "detail"}, state


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("none/of", 404, "missing"),
        ("rules/none", 404, "missing json key: none"),
        ("rules/throws", 400, "Error: odd"),
    ],
)
def test_a_filter_that_is_missing_or_throws_ends_the_replication(
    laptop: Pouch, name: str, status: int, reason: str
) -> None:
    laptop.remote("bulkDocs", DOCUMENTS)
    with pytest.raises(PouchError) as failed:
        laptop.pull(filter=name)
    assert (failed.value.status, failed.value.reason) == (status, reason)
    assert laptop.local("allDocs")["rows"] == []
