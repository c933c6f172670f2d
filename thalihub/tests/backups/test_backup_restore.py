"""A hub that writes is backed up, more is added, and another data folder becomes that hub."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.long]

PASSPHRASE = {"HUB_PASSPHRASE": "correct horse battery"}
LARGE = b"large attachment " * 100_000


@dataclass
class Story:
    """What happened to the hub `ada` before it was lost."""

    ada: HubProcess
    whole: Path
    more: Path
    state: dict[str, Any]
    """What everybody could see when `more` was made."""
    lost: str
    """The last sequence number that was handed out."""

    def fresh(self, name: str) -> HubProcess:
        """Return a hub with an empty data folder."""
        hub = HubProcess(self.ada.folder.with_name(name))
        hub.folder.mkdir()
        return hub


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("backups")
    ada = HubProcess(folder / "ada")
    with ada, ada.client(ada.owner) as owner:
        whole, more = folder / "whole.backup", folder / "more.backup"
        begin(owner)
        ada.manage("principal", "add", "friend", "--new-key", str(folder))
        ada.manage("grant", "add", "notes", "read", "friend")
        back_up_while_writing(ada, owner, whole)
        go_on(owner)
        state = seen(owner)
        ada.manage("backup", str(more), "--since", str(whole), **PASSPHRASE)
        for number in range(7):
            owner.put(f"/notes/lost{number}", json={"lost": number})
        lost = owner.get("/notes/_changes").json()["last_seq"]
        ada.stop()
        yield Story(ada, whole, more, state, lost)


def begin(owner: httpx.Client) -> None:
    for name in ("notes", "purged", "dropped", "still"):
        assert owner.put(f"/{name}").status_code == 201
        docs = [{"_id": f"d{number:03}", "n": number, "text": "ü" * 50} for number in range(150)]
        owner.post(f"/{name}/_bulk_docs", json={"docs": docs})
    for rev in ("2-aaa", "2-bbb"):
        met = {"_id": "met", "_revisions": {"start": 2, "ids": [rev[2:], "root"]}, "_rev": rev}
        owner.post("/notes/_bulk_docs", json={"docs": [met], "new_edits": False})
    for name, content in (("small", b"few"), ("middle", b"m" * 70_000), ("large", LARGE)):
        put_attachment(owner, name, content)
    owner.put("/notes/_local/checkpoint", json={"at": 5})


def put_attachment(owner: httpx.Client, name: str, content: bytes, **params: str) -> None:
    headers = {"content-type": "application/octet-stream"}
    answer = owner.put(f"/notes/{name}/file", content=content, headers=headers, params=params)
    assert answer.status_code == 201, answer.text


def back_up_while_writing(ada: HubProcess, owner: httpx.Client, path: Path) -> None:
    """Write without a pause meanwhile; every edit has the same number in two documents."""
    ended = threading.Event()

    def write() -> None:
        with ada.client(ada.owner) as client:
            number = 0
            while not ended.is_set():
                docs = [{"_id": f"{side}{number}", "n": number} for side in ("left", "right")]
                client.post("/still/_bulk_docs", json={"docs": docs})
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ada.manage("backup", str(path), **PASSPHRASE)
    finally:
        ended.set()
        writer.join()


def go_on(owner: httpx.Client) -> None:
    """Change, delete, purge, drop, replace and compact."""
    for number in (3, 4):
        document = owner.get(f"/notes/d00{number}").json()
        owner.put(f"/notes/d00{number}", json=document | {"changed": True})
    gone = owner.get("/notes/d005").json()["_rev"]
    owner.delete("/notes/d005", params={"rev": gone})
    rev = owner.get("/purged/d001").json()["_rev"]
    assert owner.post("/purged/_purge", json={"d001": [rev]}).status_code in (200, 201)
    owner.delete("/dropped")
    owner.put("/new")
    owner.put("/new/one", json={"new": True})
    rev = owner.get("/notes/middle").json()["_rev"]
    put_attachment(owner, "middle", b"n" * 80_000, rev=rev)
    owner.post("/notes/_compact", json={})


def seen(owner: httpx.Client) -> dict[str, Any]:
    """Return all documents with all their leaves, local ones, and the contents."""
    found: dict[str, Any] = {"names": owner.get("/_all_dbs").json()}
    for name in ("notes", "purged", "still", "new"):
        answer = owner.get(f"/{name}/_changes", params={"style": "all_docs"})
        assert answer.status_code == 200, answer.text
        changes = answer.json()["results"]
        found[name] = {one["id"]: (one["changes"], one.get("deleted")) for one in changes}
        rows = owner.get(f"/{name}/_all_docs", params={"include_docs": "true"}).json()
        found[f"{name} documents"] = rows["rows"]
    found["local"] = owner.get("/notes/_local/checkpoint").json()
    found["contents"] = [
        hashlib.sha256(owner.get(f"/notes/{name}/file").content).hexdigest()
        for name in ("small", "middle", "large")
    ]
    return found


@pytest.fixture(scope="module")
def restored(story: Story) -> Iterator[HubProcess]:
    hub = story.fresh("restored")
    said = hub.manage("restore", str(story.more), str(story.whole), **PASSPHRASE)
    assert "Start it" in said
    with hub:
        yield hub


def test_everything_is_as_it_was(story: Story, restored: HubProcess) -> None:
    assert restored.status["key"] == story.ada.status["key"]
    assert restored.status["device_key"] == story.ada.status["device_key"]
    with restored.client(restored.owner) as owner:
        assert seen(owner) == story.state
    assert "friend" in restored.manage("principal", "list")


def test_a_reader_that_saw_the_lost_tail_misses_nothing(story: Story, restored: HubProcess) -> None:
    with restored.client(restored.owner) as owner:
        for number in range(7):
            owner.put(f"/notes/again{number}", json={"again": number})
        rows = owner.get("/notes/_changes", params={"since": story.lost}).json()["results"]
    assert {f"again{number}" for number in range(7)} <= {row["id"] for row in rows}


def test_one_snapshot_is_in_a_backup_that_was_made_while_others_wrote(story: Story) -> None:
    hub = story.fresh("whole")
    hub.manage("restore", str(story.whole), **PASSPHRASE)
    with hub, hub.client(hub.owner) as owner:
        ids = {row["id"] for row in owner.get("/still/_all_docs").json()["rows"]}
        left = {name[4:] for name in ids if name.startswith("left")}
        right = {name[5:] for name in ids if name.startswith("right")}
        assert left == right
        assert "dropped" in owner.get("/_all_dbs").json()
        assert owner.get("/notes/middle/file").content == b"m" * 70_000


@pytest.mark.parametrize("wrong", ["passphrase", "truncated", "swapped", "foreign", "gap"])
def test_what_cannot_be_restored_leaves_nothing_behind(story: Story, wrong: str) -> None:
    hub = story.fresh(f"refused-{wrong}")
    files, environment = [story.whole], dict(PASSPHRASE)
    bad = hub.folder / "bad.backup"
    if wrong == "passphrase":
        environment = {"HUB_PASSPHRASE": "another one altogether"}
    elif wrong == "gap":
        files = [story.more]
    else:
        content = story.whole.read_bytes()
        half = len(content) // 2
        changed = {
            "truncated": content[:half],
            "swapped": content[: half - 1] + content[half : half + 1] + content[half:],
            "foreign": b"SQLite format 3\0" + content[16:],
        }
        bad.write_bytes(changed[wrong])
        files = [bad]
    done = hub.try_manage("restore", *map(str, files), **environment)
    assert done.returncode == 1
    said = {
        "passphrase": "passphrase is wrong",
        "truncated": "damaged or was cut off",
        "swapped": "damaged or was cut off",
        "foreign": "no backup",
        "gap": "Name one whole backup",
    }
    assert said[wrong] in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in hub.data.iterdir()} <= {"secret.key", "hub.lock"}


def test_a_folder_with_a_hub_is_not_overwritten(story: Story) -> None:
    before = (story.ada.data / "hub.sqlite3").read_bytes()
    done = story.ada.try_manage("restore", str(story.whole), **PASSPHRASE)
    assert done.returncode == 1
    assert "holds a hub already" in done.stderr
    assert (story.ada.data / "hub.sqlite3").read_bytes() == before


def test_a_chain_does_not_go_on_over_a_restore(story: Story, restored: HubProcess) -> None:
    path = restored.folder / "more.backup"
    done = restored.try_manage("backup", str(path), "--since", str(story.more), **PASSPHRASE)
    assert "Make a whole backup" in done.stderr
    assert not path.exists()


def test_a_restore_is_tried_in_a_folder_that_goes_away(story: Story, restored: HubProcess) -> None:
    files = [str(story.whole), str(story.more)]
    said = restored.manage("restore", "--test", *files, **PASSPHRASE)
    assert "can be restored" in said
    assert not list(restored.data.glob("restore-test-*"))


def test_a_replica_that_saw_the_lost_tail_gets_what_came_after(story: Story) -> None:
    """Hub bob has fetched everything from ada, whose disk then comes back from the backup."""
    ada, bob = story.ada, story.fresh("bob")
    ada.start()
    with bob:
        bob.manage("database", "create", "notes")
        ada.manage("principal", "add", "bob", "--key", bob.status["key"], "--kind", "friend")
        ada.manage("grant", "add", "notes", "read", "bob")
        ada.manage("backup", str(bob.folder / "later.backup"), **PASSPHRASE)
        follow(bob, ada)
        with ada.client(ada.owner) as owner:
            owner.put("/notes/tail", json={})
        eventually(lambda: has(bob, "tail"), what="Bob has the tail")
        ada.stop()
        shutil.move(ada.data, ada.folder / "lost")
        ada.manage("restore", str(bob.folder / "later.backup"), **PASSPHRASE)
        with ada, ada.client(ada.owner) as owner:
            assert owner.get("/notes/tail").status_code == 404
            owner.put("/notes/after", json={})
            eventually(lambda: has(bob, "after"), what="Bob has what came after")


def follow(bob: HubProcess, ada: HubProcess) -> None:
    url = f"httpkey://127.0.0.1:{ada.status['api_port']}/{ada.status['device_key']}/notes"
    bob.manage("job", "add", "notes", url, "--pull", "--continuous")


def has(hub: HubProcess, docid: str) -> bool:
    with hub.client(hub.owner) as owner:
        return bool(owner.get(f"/notes/{docid}").status_code == 200)
