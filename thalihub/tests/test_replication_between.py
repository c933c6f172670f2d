"""An unmodified PouchDB carries edits between two hubs that never meet: all three end alike.

Everybody edits and deletes at random; PouchDB is in step now with one hub, now with the other.  In
the end the invariants of design/conflicts.md ("Tests this must pass") hold.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from thalihub.tests.hubprocess import HubProcess
from thalihub.tests.pouch import Pouch, PouchError

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.requires_node]

EVERYBODYS = ("a", "b", "c")
THE_HUBS = ("x", "y")
ROUNDS = 4
MOST_TURNS = 6


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[HubProcess]]:
    folder = tmp_path_factory.mktemp("between")
    with HubProcess(folder / "ada") as ada, HubProcess(folder / "bob") as bob:
        yield [ada, bob]


class World:
    """Two hubs, a PouchDB, and what everybody has written."""

    def __init__(self, hubs: list[HubProcess], folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.db_name = f"between-{seed}"
        self.hubs = hubs
        self.clients = [hub.client(hub.owner) for hub in hubs]
        self._folder = folder / "pouch"
        self._writes = 0
        self.newest: dict[str, tuple[int, bool]] = {}
        """Of each document: the number of its newest write, and whether that was a deletion."""

    def pouch(self, at: int) -> Pouch:
        """Open the PouchDB, next to a hub."""
        hub = self.hubs[at]
        return Pouch(self._folder, hub, self.db_name, hub.owner)

    def edit_at(self, owner: httpx.Client) -> None:
        """Edit or delete a document at a hub."""
        docid = self.chance.choice(EVERYBODYS + THE_HUBS)
        found = owner.get(f"/{self.db_name}/{docid}")
        rev = {"_rev": found.json()["_rev"]} if found.status_code == 200 else {}
        body = self._written(docid, rev)
        answer = owner.put(f"/{self.db_name}/{docid}", json=body)
        assert answer.status_code == 201, answer.text

    def edit_in(self, pouch: Pouch) -> None:
        """Edit or delete a document in the PouchDB."""
        docid = self.chance.choice(EVERYBODYS)
        try:
            rev = {"_rev": pouch.local("get", docid)["_rev"]}
        except PouchError:
            rev = {}
        pouch.local("put", {"_id": docid, **self._written(docid, rev)})

    def _written(self, docid: str, rev: dict[str, str]) -> dict[str, Any]:
        self._writes += 1
        deletes = bool(rev) and self.chance.random() < 0.3
        self.newest[docid] = (self._writes, deletes)
        return {**rev, "n": self._writes, **({"_deleted": True} if deletes else {})}

    def play(self) -> None:
        """Edit everywhere, and bring PouchDB in step with one hub at a time."""
        for owner in self.clients:
            assert owner.put(f"/{self.db_name}").status_code == 201
        for _ in range(ROUNDS):
            for owner in self.clients:
                for _ in range(self.chance.randrange(4)):
                    self.edit_at(owner)
            with self.pouch(self.chance.randrange(2)) as pouch:
                for _ in range(self.chance.randrange(4)):
                    self.edit_in(pouch)
                if self.chance.random() < 0.8:
                    _in_step(pouch)

    def settle(self) -> None:
        """Carry everything about until nothing more is to be carried."""
        for _ in range(MOST_TURNS):
            if not sum([self._carry(at) for at in (0, 1)]):
                return
        raise AssertionError("The three never come to rest.")

    def _carry(self, at: int) -> int:
        with self.pouch(at) as pouch:
            return _in_step(pouch)

    def leaves(self) -> list[dict[str, dict[str, Any]]]:
        """Return the leaves of every document, at both hubs and in the PouchDB."""
        with self.pouch(0) as pouch:
            of_pouch = {
                docid: _by_rev(pouch.local("get", docid, {"open_revs": "all"}))
                for docid in self.newest
            }
        return [*(self._of_hub(owner) for owner in self.clients), of_pouch]

    def _of_hub(self, owner: httpx.Client) -> dict[str, dict[str, Any]]:
        accept = {"Accept": "application/json"}
        return {
            docid: _by_rev(
                owner.get(
                    f"/{self.db_name}/{docid}", params={"open_revs": "all"}, headers=accept
                ).json()
            )
            for docid in self.newest
        }


def _in_step(pouch: Pouch) -> int:
    """Replicate both ways; return how many revisions went over."""
    return int(pouch.push()["docs_written"]) + int(pouch.pull()["docs_written"])


def _by_rev(opened: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["ok"]["_rev"]: one["ok"] for one in opened}


@pytest.mark.parametrize("seed", range(3))
def test_hubs_and_a_plain_replica_between_them_end_alike(
    hubs: list[HubProcess], tmp_path: Path, seed: int
) -> None:
    world = World(hubs, tmp_path, seed)
    world.play()
    world.settle()
    ada, bob, pouch = world.leaves()
    assert ada == bob == pouch
    for docid, (number, deleted) in world.newest.items():
        alive = [one for one in ada[docid].values() if not one.get("_deleted")]
        assert len(alive) <= 1, f"{docid}: a conflict stays open"
        assert alive or deleted, f"{docid} is dead, and its newest write was an edit"
        if docid in THE_HUBS and alive and not deleted:
            assert alive[0]["n"] == number, f"{docid}: the newest write has not won"
    for owner in world.clients:
        seq = owner.get(f"/{world.db_name}").json()["update_seq"]
        world._carry(world.clients.index(owner))
        assert owner.get(f"/{world.db_name}").json()["update_seq"] == seq, "it goes on for ever"
        owner.close()
