"""What names a peer is understood, or refused."""

from __future__ import annotations

import pytest

from replication.core import job
from replication.core.errors import BadJob
from replication.core.job import MY_DEVICES, Direction, Kind, Mode, State, Wish
from replication.core.options import Options

KEY = "A" * 43
HUB = f"httpkey://192.168.1.2:6984/sha256:{KEY}"


@pytest.mark.parametrize(
    ("peer", "kind", "there"),
    [
        ("ann", Kind.NAME, "notes"),
        (MY_DEVICES, Kind.DEVICES, "notes"),
        (HUB, Kind.HUB, "notes"),
        (f"{HUB}/other", Kind.HUB, "other"),
        (f"{HUB}/a%2Fb", Kind.HUB, "a/b"),
        (f"thaligroup:/sha256:{KEY}/club/httpkeysimple", Kind.GROUP, "notes"),
        (f"thaligroup:/sha256:{KEY}/club/httpkeysimple/other", Kind.GROUP, "other"),
        ("https://couch.example/other", Kind.SERVER, "other"),
        ("https://me:secret@couch.example:6984/sub/a%2Fb/", Kind.SERVER, "a/b"),
        ("http://127.0.0.1:5984/other", Kind.SERVER, "other"),
    ],
)
def test_a_peers_text_says_what_it_is(peer: str, kind: Kind, there: str) -> None:
    assert job.kind_of(peer) is kind
    assert job.database_at(peer, "notes") == there


@pytest.mark.parametrize(
    "peer",
    [
        "",
        " ",
        "http://couch.example/db",
        "https://couch.example",
        "https://couch.example/db?x=1",
        "https://couch.example:99999/db",
        "https:///db",
        "https://[::1/db",
        "httpkey://host/md5:abc/db",
        f"{HUB}/db/doc",
        "thaligroup:/nothing",
    ],
)
def test_what_is_no_peer_is_refused(peer: str) -> None:
    with pytest.raises(BadJob):
        Wish("notes", peer, Direction.PULL)


def test_a_password_is_not_shown() -> None:
    assert job.shown("https://me:secret@couch.example:1/db") == "https://me@couch.example:1/db"
    assert job.shown("ann") == "ann"


@pytest.mark.parametrize("every", [0, 4, 10**9])
def test_a_period_has_bounds(every: int) -> None:
    with pytest.raises(BadJob):
        Wish("notes", "ann", Direction.PULL, Mode.PERIODIC, every)


def test_options_are_kept_whole() -> None:
    options = Options(
        selector={"type": "note"}, doc_ids=("a", "b"), since_seq="7-x", create_target=True
    )
    kept = job.read_options(job.options_text(options))
    assert kept.identity() == options.identity()
    assert kept.create_target


def test_the_worst_of_several_states_is_told() -> None:
    assert job.summary([State.WAITING, State.CRASHING, State.RUNNING]) is State.CRASHING
    assert job.summary([State.COMPLETED, State.RUNNING]) is State.RUNNING
    assert job.summary([State.COMPLETED, State.COMPLETED]) is State.COMPLETED
    assert job.summary([]) is State.PENDING
