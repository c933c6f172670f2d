"""Attachments go from hub to hub a piece at a time: no process grows by what it carries."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalihub.tests.hubprocess import HubProcess, eventually
from thalihub.tests.test_replication_hubs import add, know, url_of

pytestmark = [pytest.mark.slow, pytest.mark.long]

MIB = 1024**2
MOST_GROWTH = 100 * MIB


class Memory:
    """The most memory that each process of some hubs has had, beyond what it had at first."""

    def __init__(self, *hubs: HubProcess) -> None:
        self._processes = [process for hub in hubs for process in hub._family()]
        self._first = {process: process.memory_info().rss for process in self._processes}
        self._most = dict(self._first)
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watching.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            for process in self._processes:
                self._most[process] = max(self._most[process], process.memory_info().rss)

    @property
    def growth(self) -> dict[int, int]:
        """Bytes, by process."""
        return {one.pid: self._most[one] - self._first[one] for one in self._processes}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[HubProcess, HubProcess]]:
    with HubProcess(tmp_path / "ada") as ada, HubProcess(tmp_path / "bob") as bob:
        know(ada, "bob", bob)
        know(bob, "ada", ada)
        yield ada, bob


def _noise(number: int, size: int) -> Iterator[bytes]:
    piece = hashlib.shake_256(b"%d" % number).digest(MIB)
    for _ in range(size // MIB):
        yield piece


@pytest.mark.parametrize(
    ("documents", "size"),
    [
        pytest.param(3, 40 * MIB, id="120 MiB"),
        pytest.param(5, 205 * MIB, id="1 GiB", marks=pytest.mark.nightly),
    ],
)
@pytest.mark.timeout(900)
def test_no_process_grows_by_what_it_carries(
    pair: tuple[HubProcess, HubProcess], documents: int, size: int
) -> None:
    ada, bob = pair
    with ada.client(ada.owner) as owner, bob.client(bob.owner) as other:
        for db_name in ("films", "warm"):
            assert owner.put(f"/{db_name}").status_code == 201
            ada.manage("grant", "add", db_name, "read", "bob")
        # What is loaded at the first attachment is not what an attachment takes.
        owner.put("/warm/one/file", content=b"x" * MIB)
        add(bob, "warm", url_of(ada, "warm"), "--pull", "--once", "--priority", "now")
        eventually(lambda: other.head("/warm/one/file").is_success, what="the first one came")
        with Memory(ada, bob) as memory:
            for number in range(documents):
                made = owner.put(f"/films/f{number}/film", content=_noise(number, size))
                assert made.status_code == 201, made.text
            add(bob, "films", url_of(ada, "films"), "--pull", "--once", "--priority", "now")
            last = f"/films/f{documents - 1}/film"
            eventually(lambda: other.head(last).is_success, what="all came", seconds=600, pause=0.2)
        for number in range(documents):
            stub = other.get(f"/films/f{number}").json()["_attachments"]["film"]
            assert stub == owner.get(f"/films/f{number}").json()["_attachments"]["film"]
            assert stub["length"] == size
    assert max(memory.growth.values()) < MOST_GROWTH, memory.growth
