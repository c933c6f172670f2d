"""An unmodified PouchDB replicates with a hub over mutual TLS; a stranger's gets nothing."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import packages
from thalihub.tests.hubprocess import HubProcess, Person, eventually
from thalihub.tests.pouch import Pouch, PouchError

pytestmark = [pytest.mark.requires_node, pytest.mark.slow, pytest.mark.long]

_numbers = itertools.count(1)
Open = Callable[..., Pouch]


@pytest.fixture(scope="module")
def alice(hub: HubProcess) -> Person:
    """A friend without any grant yet."""
    return hub.add_person("alice")


@pytest.fixture
def database(hub: HubProcess, alice: Person) -> str:
    """A new database that Alice may read and write."""
    return _new_database(hub, alice)


@pytest.fixture
def open_pouch(hub: HubProcess, alice: Person, database: str, tmp_path: Path) -> Iterator[Open]:
    """Opens PouchDBs, each with an empty local database."""
    opened: list[Pouch] = []

    def _open(person: Person | None = alice, name: str = database, **options: Any) -> Pouch:
        folder = tmp_path / f"pouch{next(_numbers)}"
        opened.append(Pouch(folder, hub, name, person, **options))
        return opened[-1]

    yield _open
    for pouch in opened:
        pouch.__exit__()


def _new_database(hub: HubProcess, reader: Person, policy: str = "") -> str:
    name = f"notes{next(_numbers)}"
    with hub.client(hub.owner) as owner:
        created = owner.put(f"/{name}", params={"conflict_policy": policy} if policy else {})
        assert created.status_code == 201, created.text
    hub.manage("grant", "add", name, "read,write", reader.name)
    return name


def _without_revs(rows: dict[str, Any]) -> dict[str, Any]:
    documents = (row["doc"] for row in rows["rows"])
    return {document.pop("_id"): document for document in documents if document.pop("_rev")}


def test_live_sync_carries_edits_both_ways(open_pouch: Open) -> None:
    laptop, phone = open_pouch(), open_pouch()
    laptop.start_sync()
    phone.start_sync()
    laptop.local("put", {"_id": "from laptop", "text": "grüße 🎈"})
    phone.awaits("from laptop", text="grüße 🎈")
    phone.local("put", {"_id": "from phone", "nested": {"numbers": [1, 2.5, -3]}})
    laptop.awaits("from phone", nested={"numbers": [1, 2.5, -3]})

    seen = laptop.local("get", "from phone")
    laptop.local("put", seen | {"edited": True})
    phone.awaits("from phone", edited=True)
    for pouch in (laptop, phone):
        state = pouch.stop_sync()
        assert not state.keys() & {"denied", "error", "detail"}, state


def test_a_deleted_document_is_deleted_everywhere(hub: HubProcess, open_pouch: Open) -> None:
    laptop, phone = open_pouch(), open_pouch()
    laptop.local("put", {"_id": "gone", "text": "for a while"})
    laptop.push()
    phone.pull()
    assert phone.has("gone")

    laptop.local("remove", laptop.local("get", "gone"))
    laptop.push()
    phone.pull()
    with pytest.raises(PouchError) as missing:
        phone.local("get", "gone")
    assert (missing.value.status, missing.value.reason) == (404, "deleted")
    with pytest.raises(PouchError) as missing:
        phone.remote("get", "gone")
    assert (missing.value.status, missing.value.reason) == (404, "deleted")


def test_attachments_travel_byte_for_byte(open_pouch: Open) -> None:
    laptop, phone = open_pouch(), open_pouch()
    photo = random.Random(1).randbytes(1_500_000)
    kept = laptop.local("putAttachment", "holiday", "photo é.jpg", photo, "image/jpeg")
    laptop.local("putAttachment", "holiday", "note.txt", kept["rev"], b"sun", "text/plain")
    laptop.push()
    phone.pull()

    assert phone.local("getAttachment", "holiday", "photo é.jpg") == photo
    assert phone.remote("getAttachment", "holiday", "photo é.jpg") == photo
    assert phone.local("getAttachment", "holiday", "note.txt") == b"sun"
    stubs = phone.remote("get", "holiday")["_attachments"]
    assert stubs == laptop.local("get", "holiday")["_attachments"]

    # An edit of the document sends the attachments as stubs.
    phone.local("put", phone.local("get", "holiday") | {"place": "Brighton"})
    phone.push()
    laptop.pull()
    assert laptop.has("holiday", place="Brighton")
    assert laptop.local("getAttachment", "holiday", "photo é.jpg") == photo


def _edit_apart(laptop: Pouch, phone: Pouch) -> None:
    laptop.local("put", {"_id": "list", "items": []})
    laptop.push()
    phone.pull()
    for pouch, item in ((laptop, "bread"), (phone, "milk")):
        pouch.local("put", pouch.local("get", "list") | {"items": [item]})


def test_a_conflict_is_settled_and_all_agree(open_pouch: Open) -> None:
    laptop, phone = open_pouch(), open_pouch()
    _edit_apart(laptop, phone)
    laptop.start_sync()
    phone.start_sync()

    def _agreed() -> bool:
        found = [
            laptop.local("get", "list", {"conflicts": True}),
            phone.local("get", "list", {"conflicts": True}),
            phone.remote("get", "list", {"conflicts": True}),
        ]
        return all("_conflicts" not in one and one == found[0] for one in found)

    eventually(_agreed, what="both and the hub have the same winner and no conflict")
    assert laptop.local("get", "list")["items"] in (["bread"], ["milk"])


def test_the_couch_policy_leaves_a_conflict_to_the_client(
    hub: HubProcess, alice: Person, open_pouch: Open
) -> None:
    name = _new_database(hub, alice, policy="couch")
    laptop, phone = open_pouch(name=name), open_pouch(name=name)
    _edit_apart(laptop, phone)
    laptop.push()
    phone.push()
    laptop.pull()
    phone.pull()

    at_the_hub = phone.remote("get", "list", {"conflicts": True})
    assert len(at_the_hub["_conflicts"]) == 1
    assert laptop.local("get", "list", {"conflicts": True}) == at_the_hub
    assert phone.local("get", "list", {"conflicts": True}) == at_the_hub

    phone.local("remove", "list", at_the_hub["_conflicts"][0])
    phone.push()
    laptop.pull()
    assert "_conflicts" not in laptop.local("get", "list", {"conflicts": True})


def test_five_thousand_packages_arrive_whole(open_pouch: Open) -> None:
    documents = packages.load(5000)
    laptop, phone = open_pouch(), open_pouch()
    assert all("ok" in row for row in laptop.local("bulkDocs", documents))
    pushed = laptop.push(batch_size=500)
    assert (pushed["docs_written"], pushed["doc_write_failures"]) == (5000, 0)
    pulled = phone.pull(batch_size=500)
    assert pulled["docs_written"] == 5000

    everything = {"include_docs": True}
    expected = {document.pop("_id"): document for document in documents}
    assert _without_revs(phone.local("allDocs", everything)) == expected
    assert phone.local("allDocs") == laptop.local("allDocs") == phone.remote("allDocs")


@pytest.mark.parametrize("ending", ["restart", "kill"])
def test_a_live_sync_survives_the_hub(hub: HubProcess, open_pouch: Open, ending: str) -> None:
    laptop, phone = open_pouch(), open_pouch()
    laptop.local("bulkDocs", packages.load(5000))
    laptop.start_sync(batch_size=100)
    phone.start_sync(batch_size=100)
    eventually(lambda: laptop.remote("info")["doc_count"] >= 300, what="300 are at the hub")

    if ending == "kill":
        hub.kill()
        hub.start()
    else:
        hub.restart()
    counted = laptop.remote("info")["doc_count"]
    assert counted < 5000, "the hub was not interrupted in the middle"
    eventually(
        lambda: phone.local("info")["doc_count"] == 5000, what="all 5,000 arrive", seconds=180
    )
    assert phone.local("allDocs") == laptop.local("allDocs")
    phone.local("put", {"_id": "zzz", "after": "the restart"})
    laptop.awaits("zzz", after="the restart")


def test_a_filtered_replication_takes_what_was_asked_for(open_pouch: Open) -> None:
    laptop = open_pouch()
    laptop.local("bulkDocs", packages.load(200))
    laptop.push()
    chosen = [document["_id"] for document in packages.load(200)[:7]]
    by_id, by_selector = open_pouch(), open_pouch()
    by_id.pull(doc_ids=chosen)
    assert [row["id"] for row in by_id.local("allDocs")["rows"]] == sorted(chosen)

    by_selector.pull(selector={"section": "doc"})
    found = _without_revs(by_selector.local("allDocs", {"include_docs": True}))
    expected = {one["_id"] for one in packages.load(200) if one["section"] == "doc"}
    assert found.keys() == expected != set()


def test_pouchdb_uses_the_hub_as_its_own_database(open_pouch: Open) -> None:
    remote = open_pouch().remote
    first = remote("put", {"_id": "a/b c+d?é", "n": 1})
    with pytest.raises(PouchError) as conflict:
        remote("put", {"_id": "a/b c+d?é", "n": 2})
    assert (conflict.value.status, conflict.value.name) == (409, "conflict")
    second = remote("put", {"_id": "a/b c+d?é", "_rev": first["rev"], "n": 2})
    assert remote("get", "a/b c+d?é", {"rev": first["rev"]})["n"] == 1

    assert [row["id"] for row in remote("allDocs", {"startkey": "a"})["rows"]] == ["a/b c+d?é"]
    assert remote("allDocs", {"keys": ["none"]})["rows"] == [{"key": "none", "error": "not_found"}]
    got = remote("bulkGet", {"docs": [{"id": "a/b c+d?é"}]})
    assert got["results"][0]["docs"][0]["ok"]["_rev"] == second["rev"]
    difference = remote("revsDiff", {"a/b c+d?é": [second["rev"], "9-" + "0" * 32]})
    assert difference["a/b c+d?é"]["missing"] == ["9-" + "0" * 32]
    changes = remote("changes", {"since": 0, "include_docs": True})
    assert [row["doc"]["n"] for row in changes["results"]] == [2]

    kept = remote("putAttachment", "a/b c+d?é", "x/y.bin", second["rev"], b"\x00\xff", "a/b")
    assert remote("getAttachment", "a/b c+d?é", "x/y.bin") == b"\x00\xff"
    removed = remote("removeAttachment", "a/b c+d?é", "x/y.bin", kept["rev"])
    assert remote("remove", "a/b c+d?é", removed["rev"])["ok"]
    assert remote("info")["doc_count"] == 0


def _refusal(pouch: Pouch, method: str, *arguments: Any) -> tuple[int | None, str, str]:
    """Return the status, word and reason of a refused call, which must say nothing else."""
    if method == "info":  # PouchDB does not look at the status of this one.
        answer = pouch.remote("info")
        assert answer.keys() <= {"error", "reason", "host", "db_name", "auto_compaction", "adapter"}
        return None, answer["error"], answer["reason"]
    with pytest.raises(PouchError) as refused:
        pouch.remote(method, *arguments)
    return refused.value.status, refused.value.name, refused.value.reason


_CALLS = (
    ("get", "secret"),
    ("allDocs",),
    ("changes", {}),
    ("put", {"_id": "mine"}),
    ("info",),
)


def test_a_stranger_gets_nothing(hub: HubProcess, open_pouch: Open) -> None:
    open_pouch().remote("put", {"_id": "secret"})
    person = hub.add_person(f"stranger{next(_numbers)}")
    stranger, nowhere = open_pouch(person), open_pouch(person, name="nowhere")
    for method, *arguments in _CALLS:
        refused = _refusal(stranger, method, *arguments)
        assert refused == _refusal(nowhere, method, *arguments)
        assert refused[0] in (404, None)
        assert refused[1:] == ("not_found", "Database does not exist.")

    stranger.local("put", {"_id": "mine"})
    for replicate in (stranger.push, stranger.pull):
        with pytest.raises(PouchError) as error:
            replicate()
        assert error.value.status == 404
    assert [row["id"] for row in open_pouch().remote("allDocs")["rows"]] == ["secret"]


def test_without_a_certificate_there_is_nothing(open_pouch: Open) -> None:
    nobody = open_pouch(None)
    for method, *arguments in _CALLS:
        status, word, _ = _refusal(nobody, method, *arguments)
        assert (status, word) in ((401, "unauthorized"), (None, "unauthorized"))


def test_a_reader_cannot_push(hub: HubProcess, database: str, open_pouch: Open) -> None:
    open_pouch().remote("put", {"_id": "news"})
    reader = open_pouch(hub.add_person(f"reader{next(_numbers)}", f"{database}:read"))
    reader.pull()
    assert reader.has("news")

    reader.local("put", {"_id": "mine"})
    with pytest.raises(PouchError):
        reader.push()
    assert [row["id"] for row in open_pouch().remote("allDocs")["rows"]] == ["news"]


def test_a_client_refuses_a_hub_with_another_key(open_pouch: Open) -> None:
    mistaken = open_pouch(key="sha256:" + "A" * 43)
    with pytest.raises(PouchError, match="the hub's key is sha256:"):
        mistaken.remote("info")
