"""A hub that writes is backed up, more is added, its disk is lost, and it comes back.

Bob follows it all the time, and has seen what was written after the last backup.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from thalihub.tests.hubprocess import SOURCE, HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.long]

PASSPHRASE = {"HUB_PASSPHRASE": "correct horse battery"}
LARGE = b"large attachment " * 100_000


@dataclass
class Story:
    """What happened to the hub `ada` before it was lost."""

    ada: HubProcess
    """As it came back."""
    bob: HubProcess
    lost: HubProcess
    """As it was."""
    whole: Path
    more: Path
    state: dict[str, Any]
    """What everybody could see when `more` was made."""
    last_seq: str
    """The last sequence number that was handed out before the loss."""

    def fresh(self, name: str) -> HubProcess:
        """Return a hub with an empty data folder."""
        hub = HubProcess(self.ada.folder.with_name(name))
        hub.folder.mkdir()
        return hub


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("backups")
    ada, bob = HubProcess(folder / "ada"), HubProcess(folder / "bob")
    lost = HubProcess(folder / "lost")
    lost.folder.mkdir()
    whole, more = folder / "whole.backup", folder / "more.backup"
    with bob:
        with ada, ada.client(ada.owner) as owner:
            begin(owner)
            let_follow(bob, ada)
            back_up_while_writing(ada, owner, whole)
            go_on(owner)
            state = seen(owner)
            ada.manage("backup", str(more), "--since", str(whole), **PASSPHRASE)
            for number in range(7):
                owner.put(f"/notes/lost{number}", json={"lost": number})
            last_seq = owner.get("/notes/_changes").json()["last_seq"]
            eventually(lambda: has(bob, "lost6"), what="Bob has the tail")
            ada.stop()
        ada.data.rename(lost.data)
        said = ada.manage("restore", str(more), str(whole), **PASSPHRASE)
        assert "Start it" in said
        with ada:
            yield Story(ada, bob, lost, whole, more, state, last_seq)


def let_follow(bob: HubProcess, ada: HubProcess) -> None:
    ada.manage("principal", "add", "bob", "--key", bob.status["key"], "--kind", "friend")
    ada.manage("grant", "add", "notes", "read", "bob")
    url = f"httpkey://127.0.0.1:{ada.status['api_port']}/{ada.status['device_key']}/notes"
    with bob.client(bob.owner) as owner:
        owner.put("/notes")
    bob.manage("job", "add", "notes", url, "--pull", "--continuous")


def has(hub: HubProcess, docid: str) -> bool:
    with hub.client(hub.owner) as owner:
        return bool(owner.get(f"/notes/{docid}").status_code == 200)


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


def test_everything_is_as_it_was(story: Story) -> None:
    with story.ada.client(story.ada.owner) as owner:
        assert seen(owner) == story.state
    for name in ("identity.key", "device.key", "device.crt", "secret.key"):
        paths = (hub.data / name for hub in (story.ada, story.lost))
        assert len({path.read_bytes() for path in paths}) == 1
    assert "bob" in story.ada.manage("principal", "list")


def test_readers_that_saw_the_lost_tail_get_what_came_after(story: Story) -> None:
    with story.ada.client(story.ada.owner) as owner:
        assert owner.get("/notes/lost6").status_code == 404
        for number in range(7):
            owner.put(f"/notes/again{number}", json={"again": number})
        rows = owner.get("/notes/_changes", params={"since": story.last_seq}).json()["results"]
    assert {f"again{number}" for number in range(7)} <= {row["id"] for row in rows}
    eventually(lambda: has(story.bob, "again6"), what="Bob has what came after")


@pytest.fixture(scope="module")
def first(story: Story) -> HubProcess:
    """A data folder as the whole backup alone makes it; no hub runs there."""
    hub = story.fresh("first")
    hub.manage("restore", str(story.whole), **PASSPHRASE)
    return hub


def test_one_snapshot_is_in_a_backup_that_was_made_while_others_wrote(first: HubProcess) -> None:
    names = in_tables(
        first,
        "SELECT d.docid FROM couchapi_document d JOIN couchapi_database b"
        " ON d.database_id = b.id WHERE b.name = 'still'",
    )
    left = {name[4:] for name in names if name.startswith("left")}
    right = {name[5:] for name in names if name.startswith("right")}
    assert left == right
    assert "dropped" in in_tables(first, "SELECT name FROM couchapi_database WHERE dropped = 0")
    contents = [path.read_bytes() for path in (first.data / "attachments").glob("*/*")]
    assert b"m" * 70_000 in contents


def in_tables(hub: HubProcess, statement: str) -> set[str]:
    with contextlib.closing(sqlite3.connect(hub.data / "hub.sqlite3")) as connection:
        return {name for (name,) in connection.execute(statement)}


def cut(what: str, hub: HubProcess, file: Path, model: Path) -> list[str]:
    """Return what was there after the power was cut before each step (cutting.py)."""
    done = subprocess.run(
        [sys.executable, "-m", "thalihub.tests.backups.cutting", what, str(file), str(model)],
        cwd=SOURCE,
        env=hub.environment | PASSPHRASE,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    states: list[str] = json.loads(done.stdout)
    return states


def test_a_restore_whose_power_is_cut_anywhere_is_unfinished_and_begins_anew(
    story: Story, first: HubProcess
) -> None:
    hub = story.fresh("cut")
    hub.data.mkdir(mode=0o700)
    states = cut("restore", hub, story.whole, first.data)
    assert len(states) > 20
    assert set(states[:-1]) == {"empty", "unfinished"}
    assert states[-1] == "whole"


def test_a_restore_whose_power_is_cut_while_it_loads_does_not_start(story: Story) -> None:
    hub = story.fresh("killed")
    hub.data.mkdir(mode=0o700)
    assert cut("load", hub, story.whole, story.whole) == ["unfinished"] * 2
    done = hub.try_manage("hub")
    assert (done.returncode, "manage.py restore FILE" in done.stderr) == (1, True)
    assert "did not end" in hub.try_manage("backup", "x.backup", **PASSPHRASE).stderr
    assert "Start it" in hub.manage("restore", str(story.whole), **PASSPHRASE)
    assert not list(hub.data.glob("restore.*"))


def test_a_backup_whose_power_is_cut_anywhere_is_a_draft_or_whole(story: Story) -> None:
    file = story.ada.folder.with_name("cut.backup")
    states = cut("backup", story.lost, file, file)
    assert len(states) > 10
    assert set(states[:-1]) == {"nothing", "draft"}
    assert states[-1] == "whole"


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """Mount a file system in memory."""
    place.mkdir(mode=0o700)
    options = f"size={size},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "thali-test", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.requires_root
def test_a_backup_that_does_not_fit_leaves_no_file_and_the_earlier_one(story: Story) -> None:
    place = story.ada.folder.with_name("small-disk")
    with small_disk(place, "256k"):
        content = story.whole.read_bytes()[: 100 * 1024]
        (place / "earlier.backup").write_bytes(content)
        done = story.lost.try_manage("backup", str(place / "new.backup"), **PASSPHRASE)
        assert done.returncode == 1
        assert "The disk is full" in done.stderr
        assert "on a larger disk" in done.stderr
        assert "Traceback" not in done.stderr
        assert [path.name for path in place.iterdir()] == ["earlier.backup"]
        assert (place / "earlier.backup").read_bytes() == content


@pytest.mark.requires_root
def test_a_restore_that_does_not_fit_leaves_nothing_and_can_be_tried_again(story: Story) -> None:
    hub = story.fresh("small")
    with small_disk(hub.data, "1500k"):
        # First the tables do not fit, then the attachments.
        for size in ("1500k", "3m"):
            subprocess.run(["mount", "-o", f"remount,size={size}", str(hub.data)], check=True)
            done = hub.try_manage("restore", str(story.whole), **PASSPHRASE)
            assert (done.returncode, "run the same command again" in done.stderr) == (1, True)
            assert "Traceback" not in done.stderr
            assert {path.name for path in hub.data.iterdir()} <= {"secret.key", "hub.lock"}
        subprocess.run(["mount", "-o", "remount,size=64m", str(hub.data)], check=True)
        assert "Start it" in hub.manage("restore", str(story.whole), **PASSPHRASE)


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
    before = rows(story.lost.data / "hub.sqlite3")
    done = story.lost.try_manage("restore", str(story.whole), **PASSPHRASE)
    assert done.returncode == 1
    assert "holds a hub already" in done.stderr
    assert rows(story.lost.data / "hub.sqlite3") == before


def rows(database: Path) -> list[str]:
    """Return what is in it; its bytes may change when SQLite's log goes into the file."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def test_a_chain_does_not_go_on_over_a_restore(story: Story) -> None:
    path = story.ada.folder / "more.backup"
    done = story.ada.try_manage("backup", str(path), "--since", str(story.more), **PASSPHRASE)
    assert "Make a whole backup" in done.stderr
    assert not path.exists()


def test_a_restore_is_tried_in_a_folder_that_goes_away(story: Story) -> None:
    files = [str(story.whole), str(story.more)]
    said = story.ada.manage("restore", "--test", *files, **PASSPHRASE)
    assert "can be restored" in said
    assert not list(story.ada.data.glob("restore-test-*"))
