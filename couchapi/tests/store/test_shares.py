"""What others put here is counted exactly, and ends where the owner says."""

from __future__ import annotations

from functools import partial

import pytest

from acl import sql
from couchapi.core.errors import StorageFull
from couchapi.core.incoming import Inline
from couchapi.store import databases, maintenance, shares
from couchapi.store.writes import Author, Write

FRIEND = Author(key="friend", is_owner=False)


def _share(key: str = "friend") -> shares.Share:
    (found,) = [one for one in sql.read_sync(shares.everything) if one.key == key]
    return found


@pytest.fixture(autouse=True)
def _nobodys(shelf):
    yield
    sql.write_sync(lambda connection: connection.execute("DELETE FROM couchapi_share"))


def _attached(content: bytes) -> dict[str, Inline]:
    return {"file": Inline(content, "text/plain", None)}


def test_what_a_friend_writes_is_counted_and_what_the_owner_writes_is_not(shelf):
    shelf.put("own", b'{"a":1}')
    shelf.write(Write("theirs", None, False, b'{"b":22}'), author=FRIEND)
    assert _share() == ("friend", 8, None)
    assert shelf.row().body_size == 15


def test_an_attachment_counts_and_leaves_with_its_document(shelf):
    one = Write("a", None, False, b"{}", attachments=_attached(b"x" * 100))
    (rev,) = shelf.write(one, author=FRIEND)
    assert _share().size == 102
    sql.write_sync(partial(maintenance.purge, db_name=shelf.name, asked={"a": [rev]}))
    assert _share().size == 0
    assert shelf.row().body_size == 0


def test_compacting_gives_back_what_old_revisions_took(shelf):
    (first,) = shelf.write(Write("a", None, False, b'{"n":1000}'), author=FRIEND)
    shelf.write(Write("a", first, False, b'{"n":2}'), author=FRIEND)
    assert _share().size == 17
    sql.write_sync(partial(maintenance.compact_slice, db_name=shelf.name, after=""))
    assert _share().size == 7


def test_a_dropped_database_gives_back_all(shelf):
    shelf.write(Write("a", None, False, b'{"n":1}'), author=FRIEND)
    sql.write_sync(partial(databases.drop, name=shelf.name))
    while sql.write_sync(maintenance.drop_slice):
        pass
    assert _share().size == 0


def test_a_full_share_takes_nothing_more_but_deletions(shelf):
    sql.write_sync(partial(shares.set_quota, key="friend", quota=20))
    (rev,) = shelf.write(Write("a", None, False, b'{"n":1000}'), author=FRIEND)
    with pytest.raises(StorageFull, match="20 bytes"):
        shelf.write(Write("b", None, False, b'{"n":20000}'), author=FRIEND)
    assert _share().size == 10
    assert shelf.row().doc_count == 1

    shelf.put("own", b'{"n":1000000}')
    shelf.write(Write("a", rev, True, b'{"why":"make room"}'), author=FRIEND)
    assert shelf.row().doc_count == 1


def test_a_full_database_takes_nothing_more_but_deletions(shelf):
    sql.write_sync(partial(databases.set_quota, name=shelf.name, quota=12))
    rev = shelf.put("a", b'{"n":1000}')
    with pytest.raises(StorageFull, match="12 bytes"):
        shelf.put("b", b'{"n":1}')
    shelf.put("a", b"{}", rev, deleted=True)
    assert shelf.row().doc_count == 0
    sql.write_sync(partial(databases.set_quota, name=shelf.name, quota=None))
    shelf.put("b", b'{"n":1}')
