"""What is malformed is refused in CouchDB's JSON form: never a 5xx, and nothing is stored."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from acl import sql

DEEP = b'{"a":' * 101 + b"1" + b"}" * 101
BAD_DOCUMENTS = {
    "duplicate keys": b'{"a":1,"a":2}',
    "duplicate keys inside": b'{"a":{"b":1,"b":2}}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "1e400": b'{"a":1e400}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "invalid UTF-8": b'{"a":"\xff"}',
    "too deep": DEEP,
    "5,000 digits": b'{"a":' + b"7" * 5000 + b"}",
    "unknown member": b'{"_foo":1}',
    "deleted is no boolean": b'{"_deleted":1}',
    "rev is no rev": b'{"_rev":"foo"}',
    "rev is a number": b'{"_rev":1}',
    "attachments is a list": b'{"_attachments":[]}',
    "attachment is no base64": b'{"_attachments":{"a":{"data":"###"}}}',
    "attachment without data": b'{"_attachments":{"a":{}}}',
    "an unknown stub": b'{"_attachments":{"a":{"stub":true,"digest":"md5-xx"}}}',
    "a list": b"[1]",
    "a string": b'"text"',
    "nothing": b"",
    "half": b'{"a":',
    "9 MB": b'{"a":"' + b"x" * 9_000_000 + b'"}',
}
BAD_IDS = ["_foo", "_", "a\x00b", "", "x" * 3000]


async def state(owner: Any, database: str) -> tuple[Any, Any]:
    """Return what tells whether anything was stored."""
    blobs = await sql.scan(lambda connection: connection.one("SELECT count(*) FROM couchapi_blob"))
    return (await owner.get(database)).json()["update_seq"], blobs


async def assert_refused(owner: Any, database: str, answer: Any, before: Any) -> None:
    assert 400 <= answer.status < 500, answer.body
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "reason"}
    assert answer.body.endswith(b"\n")
    assert await state(owner, database) == before


@pytest.mark.parametrize("body", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
async def test_a_bad_document_is_refused_by_put(owner: Any, database: str, body: bytes) -> None:
    before = await state(owner, database)
    await assert_refused(owner, database, await owner.put(f"{database}/a", body), before)


@pytest.mark.parametrize("body", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
async def test_a_bad_document_is_refused_by_post(owner: Any, database: str, body: bytes) -> None:
    before = await state(owner, database)
    await assert_refused(owner, database, await owner.post(database, body), before)


@pytest.mark.parametrize("new_edits", [b"true", b"false"])
@pytest.mark.parametrize("body", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
async def test_a_bad_document_fails_the_whole_batch(
    owner: Any, database: str, body: bytes, new_edits: bytes
) -> None:
    before = await state(owner, database)
    good = b'{"_id":"good","_rev":"1-' + b"a" * 32 + b'"}' if new_edits == b"false" else b"{}"
    batch = b'{"new_edits":%s,"docs":[%s,%s]}' % (new_edits, good, body)
    answer = await owner.post(f"{database}/_bulk_docs", batch)
    await assert_refused(owner, database, answer, before)


@pytest.mark.parametrize("docid", BAD_IDS)
async def test_a_bad_id_is_refused(owner: Any, database: str, docid: str) -> None:
    before = await state(owner, database)
    for path, body in (
        (database, {"_id": docid}),
        (f"{database}/_bulk_docs", {"docs": [{"_id": docid}]}),
    ):
        await assert_refused(owner, database, await owner.post(path, body), before)


async def test_a_nul_in_the_path_is_refused(owner: Any, database: str) -> None:
    before = await state(owner, database)
    await assert_refused(owner, database, await owner.put(f"{database}/a%00b", {}), before)


async def test_a_path_that_is_not_utf8_is_refused(owner: Any, database: str) -> None:
    answer = await owner.put(f"{database}/a%ff", {})
    assert 400 <= answer.status < 500


async def test_a_replicated_document_without_revision_fails_the_whole_batch(
    owner: Any, database: str
) -> None:
    before = await state(owner, database)
    body = {"new_edits": False, "docs": [{"_id": "a"}]}
    await assert_refused(owner, database, await owner.post(f"{database}/_bulk_docs", body), before)


@pytest.mark.parametrize(
    "body",
    [[], {}, {"docs": {}}, {"docs": "x"}, {"docs": [1]}, {"docs": [{}], "new_edits": "yes"}],
)
async def test_a_bad_batch_is_refused(owner: Any, database: str, body: Any) -> None:
    before = await state(owner, database)
    await assert_refused(owner, database, await owner.post(f"{database}/_bulk_docs", body), before)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/_all_docs", {"limit": "-1"}),
        ("/_all_docs", {"skip": "x"}),
        ("/_all_docs", {"startkey": "{"}),
        ("/_all_docs", {"descending": "maybe"}),
        ("/_all_docs", {"limit": "9" * 400}),
        ("/_changes", {"limit": "-1"}),
        ("/_changes", {"since": "garbage"}),
        ("/_changes", {"since": "9" * 300}),
        ("/_changes", {"feed": "sometimes"}),
        ("/_changes", {"style": "odd"}),
        ("/_changes", {"heartbeat": "-5"}),
        ("/_changes", {"filter": "no"}),
        ("/_changes", {"seq_interval": "0"}),
        ("/a", {"rev": "foo"}),
        ("/a", {"rev": "1-"}),
        ("/a", {"open_revs": "[1]"}),
        ("/a", {"open_revs": "x"}),
        ("/a", {"atts_since": "{}"}),
    ],
)
async def test_a_bad_parameter_is_never_our_failure(
    owner: Any, database: str, path: str, params: dict[str, str]
) -> None:
    await owner.put(f"{database}/a", {})
    answer = await owner.get(database + path, **params)
    assert answer.status < 500
    if "9999" not in str(params):  # A large number is cut, or refused.
        assert answer.status == 400, answer.body
        assert set(answer.json()) == {"error", "reason"}


@pytest.mark.parametrize("count", ["1000000000", "-1", "x", "1e9", ""])
async def test_too_many_uuids_are_refused(owner: Any, count: str) -> None:
    answer = await owner.get("/_uuids", count=count)
    assert answer.status == 400
    assert set(answer.json()) == {"error", "reason"}


async def test_a_gzip_bomb_is_refused_while_it_unpacks(
    owner: Any, database: str, settings: Any
) -> None:
    settings.HUB_MAX_JSON = 1_000_000
    before = await state(owner, database)
    bomb = gzip.compress(b'{"a":"' + b"0" * 50_000_000 + b'"}')
    answer = await owner("PUT", f"{database}/a", bomb, headers={"content-encoding": "gzip"})
    assert answer.status == 413
    await assert_refused(owner, database, answer, before)


@pytest.mark.parametrize(
    "body", [b"not gzip", gzip.compress(b'{"a":1}')[:-6]], ids=["not gzip", "cut off"]
)
async def test_broken_gzip_is_refused(owner: Any, database: str, body: bytes) -> None:
    before = await state(owner, database)
    answer = await owner("PUT", f"{database}/a", body, headers={"content-encoding": "gzip"})
    await assert_refused(owner, database, answer, before)


async def test_gzipped_documents_are_taken(owner: Any, database: str) -> None:
    body = gzip.compress(json.dumps({"a": 1}).encode())
    answer = await owner("PUT", f"{database}/a", body, headers={"content-encoding": "gzip"})
    assert answer.status == 201
    assert (await owner.get(f"{database}/a")).json()["a"] == 1


@pytest.mark.parametrize("path", ["", "/_bulk_docs", "/_revs_diff", "/_ensure_full_commit"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_post_that_is_not_json_is_refused(
    owner: Any, database: str, path: str, kind: str
) -> None:
    answer = await owner("POST", database + path, b"{}", headers={"content-type": kind})
    assert answer.status == 415
    assert answer.json()["error"] == "bad_content_type"


def multipart(document: dict[str, Any], parts: list[bytes], end: bytes = b"--") -> bytes:
    pieces = [b"\r\ncontent-type: application/json\r\n\r\n" + json.dumps(document).encode()]
    pieces += [b"\r\n\r\n" + part for part in parts]
    return b"".join(b"--b" + piece + b"\r\n" for piece in pieces) + b"--b" + end


def announced(length: int, **more: Any) -> dict[str, Any]:
    return {"_attachments": {"f": {"follows": True, "length": length, **more}}}


@pytest.mark.parametrize(
    "body",
    [
        multipart(announced(4), [b"abc"]),
        multipart(announced(2), [b"abc"]),
        multipart(announced(3), []),
        multipart(announced(3), [b"abc", b"more"]),
        multipart(announced(3), [b"abc"], end=b""),
        multipart(announced(3, digest="md5-AAAAAAAAAAAAAAAAAAAAAA=="), [b"abc"]),
        b"--b\r\n",
        b"no boundary at all",
        b"",
    ],
)
async def test_a_broken_multipart_document_is_refused(
    owner: Any, database: str, body: bytes
) -> None:
    before = await state(owner, database)
    headers = {"content-type": 'multipart/related; boundary="b"'}
    answer = await owner("PUT", f"{database}/a", body, headers=headers)
    await assert_refused(owner, database, answer, before)


async def test_an_upload_that_is_refused_leaves_nothing(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {})
    before = await state(owner, database)
    answer = await owner("PUT", f"{database}/a/f", b"x" * 300_000, headers={"content-type": "a/b"})
    assert answer.status == 409
    await assert_refused(owner, database, answer, before)


@pytest.mark.parametrize(
    "text",
    [
        '{"n":1e2}',
        '{"n":-0}',
        '{"n":1.0}',
        '{"n":' + "7" * 30 + "}",
        '{"s":"\\u0000"}',
        '{"n":0.10}',
    ],
)
async def test_numbers_and_nul_come_back_byte_for_byte(
    owner: Any, database: str, text: str
) -> None:
    rev = (await owner.put(f"{database}/a", text.encode())).json()["rev"]
    shown = await owner.get(f"{database}/a")
    assert shown.body == b'{"_id":"a","_rev":"%s",%s\n' % (rev.encode(), text[1:].encode())
