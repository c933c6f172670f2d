"""Attachments: standalone, inline, as stubs, in multipart bodies, in parts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import store

BIG = 10 * 1024 * 1024


def digest(content: bytes) -> str:
    return "md5-" + base64.b64encode(hashlib.md5(content).digest()).decode()


async def attach(
    owner: Any, path: str, content: bytes, kind: str = "text/plain", **more: Any
) -> Any:
    return await owner("PUT", path, content, headers={"content-type": kind}, **more)


@pytest.fixture
async def attached(owner: Any, database: str) -> str:
    """The path of a document with one attachment."""
    answer = await attach(owner, f"{database}/d/file.txt", b"content")
    assert answer.status == 201
    return f"{database}/d"


async def test_an_attachment_comes_back_with_its_headers(owner: Any, attached: str) -> None:
    answer = await owner.get(f"{attached}/file.txt")
    assert (answer.status, answer.body) == (200, b"content")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-length"] == "7"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{digest(b"content")[4:]}"'
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_document_shows_a_stub(owner: Any, attached: str) -> None:
    assert (await owner.get(attached)).json()["_attachments"] == {
        "file.txt": {
            "content_type": "text/plain",
            "digest": digest(b"content"),
            "length": 7,
            "revpos": 1,
            "stub": True,
        }
    }


async def test_head_tells_the_length(owner: Any, attached: str) -> None:
    head = await owner("HEAD", f"{attached}/file.txt")
    assert (head.status, head.headers["content-length"], head.body) == (200, "7", b"")


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-2", 206, b"con"),
        ("bytes=4-", 206, b"ent"),
        ("bytes=-2", 206, b"nt"),
        ("bytes=2-900", 206, b"ntent"),
        ("bytes=7-", 416, None),
        ("lines=1-2", 200, b"content"),
    ],
)
async def test_a_range_is_a_part(
    owner: Any, attached: str, asked: str, status: int, content: bytes | None
) -> None:
    answer = await owner("GET", f"{attached}/file.txt", headers={"range": asked})
    assert answer.status == status
    if content is not None:
        assert answer.body == content
    else:
        assert answer.headers["content-range"] == "bytes */7"


async def test_an_etag_saves_the_second_reading(owner: Any, attached: str) -> None:
    etag = (await owner.get(f"{attached}/file.txt")).headers["etag"]
    again = await owner("GET", f"{attached}/file.txt", headers={"if-none-match": etag})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xml"])
async def test_what_a_browser_would_run_is_only_downloaded(
    owner: Any, database: str, kind: str
) -> None:
    await attach(owner, f"{database}/d/page", b"<p>", kind)
    answer = await owner.get(f"{database}/d/page")
    assert answer.headers["content-disposition"] == "attachment"


async def test_an_attachment_is_removed_and_the_old_revision_has_it(
    owner: Any, attached: str
) -> None:
    rev = (await owner.get(attached)).json()["_rev"]
    assert (await owner.delete(f"{attached}/file.txt")).status == 409
    assert (await owner.delete(f"{attached}/file.txt", rev=rev)).status == 200
    gone = await owner.get(f"{attached}/file.txt")
    assert (gone.status, gone.json()["reason"]) == (404, "Document is missing attachment")
    assert (await owner.get(f"{attached}/file.txt", rev=rev)).body == b"content"


async def test_a_stub_keeps_what_is_there(owner: Any, attached: str) -> None:
    document = (await owner.get(attached)).json()
    document["x"] = 1
    assert (await owner.put(attached, document)).status == 201
    shown = (await owner.get(attached)).json()
    assert shown["_attachments"]["file.txt"]["revpos"] == 1
    assert (await owner.get(f"{attached}/file.txt")).body == b"content"


async def test_a_document_without_stubs_has_no_attachments_any_more(
    owner: Any, attached: str
) -> None:
    document = (await owner.get(attached)).json()
    del document["_attachments"]
    await owner.put(attached, document)
    assert "_attachments" not in (await owner.get(attached)).json()


async def test_inline_contents_come_and_go_in_base64(owner: Any, database: str) -> None:
    data = base64.b64encode(b"\x00\xff").decode()
    body = {"_attachments": {"a": {"content_type": "x/y", "data": data}}}
    await owner.put(f"{database}/d", body)
    headers = {"accept": "application/json"}
    shown = await owner("GET", f"{database}/d", headers=headers, attachments=True)
    assert shown.json()["_attachments"]["a"]["data"] == data
    listed = await owner.get(f"{database}/_all_docs", include_docs=True, attachments=True)
    assert listed.json()["rows"][0]["doc"]["_attachments"]["a"]["data"] == data
    changed = await owner.get(f"{database}/_changes", include_docs=True, attachments=True)
    assert changed.json()["results"][0]["doc"]["_attachments"]["a"]["data"] == data


async def test_only_newer_contents_are_sent_when_old_ones_are_known(
    owner: Any, attached: str
) -> None:
    first = (await owner.get(attached)).json()["_rev"]
    await attach(owner, f"{attached}/new", b"new", rev=first)
    shown = await owner("GET", attached, headers={"accept": "application/json"}, atts_since=[first])
    members = shown.json()["_attachments"]
    assert members["file.txt"]["stub"] is True
    assert base64.b64decode(members["new"]["data"]) == b"new"


def related(document: dict[str, Any], *parts: bytes) -> bytes:
    pieces = [b"content-type: application/json\r\n\r\n" + json.dumps(document).encode()]
    pieces += [b"\r\n" + part for part in parts]
    return b"".join(b"--b\r\n" + piece + b"\r\n" for piece in pieces) + b"--b--"


async def send_related(owner: Any, path: str, body: bytes) -> Any:
    return await owner(
        "PUT", path, body, headers={"content-type": 'multipart/related; boundary="b"'}
    )


async def test_contents_follow_a_document_in_a_multipart_body(owner: Any, database: str) -> None:
    members = {
        "one": {"follows": True, "length": 3, "content_type": "a/b"},
        "two": {"follows": True, "length": 4, "content_type": "c/d"},
    }
    body = related({"_attachments": members, "x": 1}, b"111", b"2222")
    assert (await send_related(owner, f"{database}/d", body)).status == 201
    assert (await owner.get(f"{database}/d/one")).body == b"111"
    two = await owner.get(f"{database}/d/two")
    assert (two.body, two.headers["content-type"]) == (b"2222", "c/d")


async def test_a_document_is_sent_with_its_contents_behind_it(owner: Any, attached: str) -> None:
    answer = await owner.get(attached, attachments=True)
    assert answer.headers["content-type"].startswith("multipart/related; boundary=")
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert b'"follows":true' in answer.body
    assert b"\r\n\r\ncontent\r\n" in answer.body


async def test_a_packed_content_is_unpacked_for_who_cannot(owner: Any, database: str) -> None:
    plain = b"word " * 1000
    packed = gzip.compress(plain)
    member = {
        "follows": True,
        "content_type": "text/plain",
        "encoding": "gzip",
        "length": len(plain),
        "encoded_length": len(packed),
        "digest": digest(packed),
    }
    body = related({"_attachments": {"a": member}}, packed)
    assert (await send_related(owner, f"{database}/d", body)).status == 201
    shown = await owner.get(f"{database}/d/a")
    assert shown.body == plain
    assert "content-encoding" not in shown.headers
    asked = await owner("GET", f"{database}/d/a", headers={"accept-encoding": "gzip"})
    assert asked.headers["content-encoding"] == "gzip"
    assert asked.body == packed
    stub = (await owner.get(f"{database}/d", att_encoding_info=True)).json()["_attachments"]["a"]
    assert (stub["encoding"], stub["encoded_length"]) == ("gzip", len(packed))


async def test_an_unknown_stub_fails_the_whole_batch(owner: Any, database: str) -> None:
    stub = {"stub": True, "digest": digest(b"no"), "revpos": 1}
    docs = [{"_id": "good"}, {"_id": "bad", "_attachments": {"a": stub}}]
    answer = await owner.post(f"{database}/_bulk_docs", {"docs": docs})
    assert (answer.status, answer.json()["error"]) == (412, "missing_stub")
    assert (await owner.get(f"{database}/good")).status == 404


async def test_a_stub_is_no_oracle_for_who_may_not_read(
    api: Any, owner: Any, attached: str, database: str
) -> None:
    writer = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], writer.name, read=False, write=True)
    rev = (await owner.get(attached)).json()["_rev"]
    for known in (digest(b"content"), digest(b"other")):
        stub = {"file.txt": {"stub": True, "digest": known, "revpos": 1}}
        answer = await writer.put(attached, {"_rev": rev, "_attachments": stub})
        assert (answer.status, answer.json()["error"]) == (412, "missing_stub")


async def test_a_large_content_is_sent_in_small_pieces(owner: Any, database: str) -> None:
    content = bytes(range(256)) * (BIG // 256)
    assert (await attach(owner, f"{database}/d/big", content)).status == 201
    async with owner.open(f"{database}/d/big") as exchange:
        pieces = [piece async for piece in exchange.pieces()]
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 1024 * 1024
    part = await owner("GET", f"{database}/d/big", headers={"range": "bytes=5000000-5000009"})
    assert part.body == content[5000000:5000010]


@pytest.mark.parametrize("name", ["a/b/c.txt", "%C3%A4.txt", "with%20space"])
async def test_names_may_have_slashes_and_any_unicode(owner: Any, database: str, name: str) -> None:
    assert (await attach(owner, f"{database}/d/{name}", b"x")).status == 201
    assert (await owner.get(f"{database}/d/{name}")).body == b"x"


async def test_a_design_document_has_attachments_too(owner: Any, database: str) -> None:
    assert (await attach(owner, f"{database}/_design/app/index.html", b"x")).status == 201
    assert (await owner.get(f"{database}/_design/app/index.html")).body == b"x"
