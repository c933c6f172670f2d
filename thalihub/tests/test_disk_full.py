"""A hub on a disk that fills up loses nothing it has acknowledged, and goes on when there is room.

The disk is a small file system in memory, mounted where the hub keeps its data.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.requires_root]

BATCH = 8
TEXT = "x" * 100_000


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub with 80 MiB for its data."""
    hub = HubProcess(tmp_path, HUB_HOUSEKEEPING_SECONDS="0.2")
    hub.data.mkdir(mode=0o700)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80m,mode=700", "thali-test", str(hub.data)], check=True
    )
    try:
        with hub:
            yield hub
    finally:
        subprocess.run(["umount", str(hub.data)], check=True)


def _send(owner: httpx.Client, number: int) -> httpx.Response:
    docs = [{"_id": f"{number}:{at}", "text": TEXT} for at in range(BATCH)]
    return owner.post("/big/_bulk_docs", json={"docs": docs})


def _ids(owner: httpx.Client) -> set[str]:
    return {row["id"] for row in owner.get("/big/_all_docs").json()["rows"]}


def _write_until_refused(owner: httpx.Client) -> set[str]:
    """Return the ids of what was acknowledged."""
    for number in range(1000):
        answer = _send(owner, number)
        if answer.status_code != 201:
            assert answer.status_code == 507, answer.text
            assert answer.json()["error"] == "insufficient_storage"
            return {f"{done}:{at}" for done in range(number) for at in range(BATCH)}
    raise AssertionError("The disk is never full.")


def _fill(path: Path) -> None:
    """Take all that is left, as another program may."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_full_disk_stops_writing_and_nothing_else(hub: HubProcess) -> None:
    eventually((hub.data / "ballast").exists, what="there is a ballast")
    with hub.client(hub.owner) as owner:
        assert owner.put("/big").status_code == 201
        kept = _write_until_refused(owner)
        assert len(kept) > 100
        assert owner.put("/big/note/file", content=b"x" * 200_000).status_code == 507
        assert _ids(owner) == kept

        _fill(hub.data / "of-another-program")
        assert _send(owner, 5000).status_code == 507
        assert owner.get("/big/0:0").json()["text"] == TEXT
        kept -= _delete(owner, sorted(kept)[:BATCH])
        assert not (hub.data / "ballast").exists()
        assert _ids(owner) == kept

        (hub.data / "of-another-program").unlink()
        kept -= _delete(owner, sorted(kept)[: len(kept) // 2])
        json = {"Content-Type": "application/json"}
        assert owner.post("/big/_compact", headers=json).status_code == 202
        eventually(lambda: _send(owner, 6000).status_code == 201, what="there is room again")
        kept |= {f"6000:{at}" for at in range(BATCH)}
        assert _ids(owner) == kept
    hub.restart()
    with hub.client(hub.owner) as owner:
        assert _ids(owner) == kept


def _delete(owner: httpx.Client, docids: list[str]) -> set[str]:
    """Delete documents one by one, as a person would."""
    for docid in docids:
        rev = owner.head(f"/big/{docid}").headers["etag"].strip('"')
        deleted = owner.delete(f"/big/{docid}", params={"rev": rev})
        assert deleted.status_code == 200, deleted.text
    return set(docids)
