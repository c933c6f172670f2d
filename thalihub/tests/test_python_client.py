"""PyPI's CouchDB package, written against CouchDB 1, works with a hub."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import couchdb
import pytest
from couchdb.http import ConnectionPool, Session

from thalihub.tests.hubprocess import HubProcess, Person

pytestmark = pytest.mark.slow


class _PinnedPool(ConnectionPool):
    """Opens connections that show a certificate and know the hub's key."""

    def __init__(self, hub: HubProcess, person: Person) -> None:
        super().__init__(timeout=30)
        self._context = hub.context(person)

    def get(self, url: str) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        waiting = self.conns.setdefault((parts.scheme, parts.netloc), [])
        if waiting:
            return waiting.pop()
        assert parts.hostname
        return couchdb.http.HTTPSConnection(
            parts.hostname, parts.port, timeout=30, context=self._context
        )


@pytest.fixture
def server(hub: HubProcess):
    session = Session()
    session.connection_pool = _PinnedPool(hub, hub.owner)
    yield couchdb.Server(hub.url, session=session)
    session.connection_pool.__del__()


def test_the_couchdb_package_reads_and_writes(server: couchdb.Server) -> None:
    database = server.create("python/client")
    assert "python/client" in server
    with pytest.raises(couchdb.PreconditionFailed):
        server.create("python/client")

    docid, first = database.save({"_id": "ä/b", "n": 1})
    database[docid] = {"_id": docid, "_rev": first, "n": 2}
    assert database[docid]["n"] == 2
    with pytest.raises(couchdb.ResourceConflict):
        database.save({"_id": docid, "_rev": first})
    assert [revision["n"] for revision in database.revisions(docid)] == [2, 1]

    done = database.update([{"_id": f"bulk{n}", "n": n} for n in range(50)])
    assert all(ok for ok, _, _ in done)
    assert len(database) == 51
    rows = database.view("_all_docs", include_docs=True, startkey="bulk1", endkey="bulk19")
    assert [row.doc["n"] for row in rows] == [1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]

    database.put_attachment(database[docid], b"\x00\x01", "raw.bin", "application/octet-stream")
    assert database.get_attachment(docid, "raw.bin").read() == b"\x00\x01"
    changes = database.changes(since=0)
    assert len(changes["results"]) == 51
    del database[docid]
    assert docid not in database
    server.delete("python/client")
    assert "python/client" not in server
