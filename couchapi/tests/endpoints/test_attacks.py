"""What an attacker sends, and what an unlucky user meets: each of these once went wrong."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import store

# No time in it: its bytes name the tests, and the test runner's processes must agree on names.
PACKED = gzip.compress(b"x" * 1000, mtime=0)


def related(document: Any, content: bytes) -> bytes:
    """A multipart/related body of a document and one attachment."""
    return b"".join(
        (
            b"--b\r\nContent-Type: application/json\r\n\r\n",
            json.dumps(document).encode(),
            b"\r\n--b\r\n\r\n",
            content,
            b"\r\n--b--",
        )
    )


async def send(client: Any, path: str, member: dict[str, Any], content: bytes) -> Any:
    """PUT a document whose attachment `a` follows it."""
    body = related({"_attachments": {"a": {"follows": True, **member}}}, content)
    return await client(
        "PUT", path, body, headers={"content-type": 'multipart/related; boundary="b"'}
    )


@pytest.mark.parametrize("path", ["/%5Flocal%2Fx", "/%5flocal/x", "/_local%2fx", "/_local/x"])
async def test_a_local_document_is_local_however_its_path_is_encoded(
    owner: Any, database: str, path: str
) -> None:
    assert (await owner.put(database + path, {"a": 1})).json()["rev"] == "0-1"
    assert (await owner.get(f"{database}/_local/x")).json()["a"] == 1
    assert (await owner.get(f"{database}/_all_docs")).json()["rows"] == []


async def test_a_local_document_has_no_attachments(owner: Any, database: str) -> None:
    answer = await owner("PUT", f"{database}/%5Flocal%2Fx/a", b"content")
    assert answer.status == 404
    assert (await owner.get(f"{database}/_changes")).json()["results"] == []


async def test_a_local_document_is_local_when_it_is_posted_or_copied(
    owner: Any, database: str
) -> None:
    posted = await owner.post(database, {"_id": "_local/x", "_rev": "0-7", "a": 1})
    assert (posted.status, posted.json()["rev"]) == (201, "0-1")
    await owner.put(f"{database}/source", {"a": 2})
    copied = await owner("COPY", f"{database}/source", headers={"destination": "_local/y"})
    assert copied.status == 201
    assert (await owner.get(f"{database}/_local/y")).json()["a"] == 2
    rows = (await owner.get(f"{database}/_changes")).json()["results"]
    assert [row["id"] for row in rows] == ["source"]


async def test_an_id_of_a_local_document_is_not_longer_than_others(
    owner: Any, database: str
) -> None:
    answer = await owner.put(f"{database}/_local/{'x' * 3000}", {})
    assert (answer.status, answer.json()["error"]) == (400, "illegal_docid")


async def test_a_copy_goes_to_no_id_that_is_not_utf8(owner: Any, database: str) -> None:
    await owner.put(f"{database}/source", {})
    answer = await owner("COPY", f"{database}/source", headers={"destination": "a%ffb"})
    assert answer.status == 400


@pytest.mark.parametrize("kind", ["a\r\nSet-Cookie: b", "a\nb", "a\0b", "a" * 5000])
async def test_a_content_type_cannot_break_out_of_its_header(
    owner: Any, database: str, kind: str
) -> None:
    inline = {"_attachments": {"a": {"content_type": kind, "data": "aGk="}}}
    assert (await owner.put(f"{database}/d", inline)).status == 400
    assert (await send(owner, f"{database}/d", {"content_type": kind}, b"abc")).status == 400
    assert (await owner.get(f"{database}/d/a")).status == 404


@pytest.mark.parametrize("revpos", [-1, 2**63, True, "1"])
async def test_a_revpos_is_a_generation(owner: Any, database: str, revpos: Any) -> None:
    inline = {"_attachments": {"a": {"revpos": revpos, "data": "aGk="}}}
    assert (await owner.put(f"{database}/d", inline)).status == 400
    assert (await send(owner, f"{database}/d", {"revpos": revpos}, b"abc")).status == 400


@pytest.mark.parametrize(
    ("length", "content"),
    [
        (1000, b"not gzip"),
        (-5, PACKED),
        (999, PACKED),
        (1001, PACKED),
        (1000, PACKED[:-4]),
        (1000, PACKED + PACKED),
    ],
    ids=["not packed", "negative", "too short", "too long", "cut", "doubled"],
)
async def test_a_packed_content_that_cannot_be_unpacked_is_not_stored(
    owner: Any, database: str, length: int, content: bytes
) -> None:
    member = {"encoding": "gzip", "length": length, "encoded_length": len(content)}
    assert (await send(owner, f"{database}/d", member, content)).status == 400
    assert (await owner.get(f"{database}/d")).status == 404


async def test_a_packed_bomb_is_refused_while_it_unpacks(owner: Any, database: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    member = {"encoding": "gzip", "length": 1000, "encoded_length": len(bomb)}
    assert (await send(owner, f"{database}/d", member, bomb)).status == 400
    enormous = {"encoding": "gzip", "length": 2**60, "encoded_length": len(bomb)}
    assert (await send(owner, f"{database}/d", enormous, bomb)).status == 413


async def test_a_query_of_thousands_of_parameters_is_refused(owner: Any) -> None:
    answer = await owner.get("/_all_dbs", **{f"p{number}": "1" for number in range(5000)})
    assert answer.status == 400


async def test_a_hidden_conflict_is_not_named_by_revs_diff(api: Any, couch_database: str) -> None:
    history = {"start": 2, "ids": ["bb", "aa"]}
    other = {"start": 2, "ids": ["ab", "aa"]}
    docs = [
        {"_id": "d", "_revisions": history, "public": True},
        {"_id": "d", "_revisions": other, "public": False},
    ]
    await api.owner.post(f"{couch_database}/_bulk_docs", {"new_edits": False, "docs": docs})
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(
        couch_database[1:], reader.name, read=True, write=False, selector='{"public": true}'
    )
    asked = {"d": ["3-cc", "2-ab", "2-bb"]}
    seen = (await reader.post(f"{couch_database}/_revs_diff", asked)).json()
    assert seen == {"d": {"missing": ["3-cc", "2-ab"], "possible_ancestors": ["2-bb"]}}
    everything = (await api.owner.post(f"{couch_database}/_revs_diff", asked)).json()
    assert everything["d"]["possible_ancestors"] == ["2-ab", "2-bb"]


@pytest.mark.parametrize("name", ["_bulk_docs", "_bulk_get"])
async def test_a_batch_of_very_many_documents_is_refused(
    owner: Any, database: str, name: str
) -> None:
    body = b'{"docs":[%s]}' % b",".join([b'{"id":"a"}'] * 50_001)
    answer = await owner.post(f"{database}/{name}", body)
    assert (answer.status, answer.json()["error"]) == (413, "too_large")
    assert (await owner.get(database)).json()["doc_count"] == 0


async def test_a_batch_of_very_many_revisions_of_one_document_is_refused(
    owner: Any, database: str
) -> None:
    revs = [b'{"_id":"a","_rev":"1-%d"}' % number for number in range(2001)]
    body = b'{"new_edits":false,"docs":[%s]}' % b",".join(revs)
    answer = await owner.post(f"{database}/_bulk_docs", body)
    assert (answer.status, answer.json()["error"]) == (413, "too_large")
    assert (await owner.get(database)).json()["doc_count"] == 0
