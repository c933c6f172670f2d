"""Attachments too large for memory: every way in and out, and nothing left of what failed."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from acl import sql
from couchapi import tasks
from couchapi.store import attachments, databases
from couchapi.tests.endpoints.test_attachments import attach, digest, related, send_related
from couchapi.tests.store.test_contents import largest_file

CONTENT = random.Random(1).randbytes(1_500_000)
JSON = {"accept": "application/json"}


def _files() -> set[Path]:
    return {path for path in (settings.HUB_DATA / "attachments").rglob("*") if path.is_file()}


async def _kept() -> tuple[set[Path], int]:
    """The files of contents, and how many uploads belong to no document."""
    row = await sql.scan(
        lambda c: c.one("SELECT count(*) FROM couchapi_blob WHERE document_id IS NULL")
    )
    assert row is not None
    return await asyncio.to_thread(_files), row[0]


def _inline(content: bytes) -> dict[str, Any]:
    return {"a": {"content_type": "x/y", "data": base64.b64encode(content).decode()}}


async def test_a_large_content_is_one_file_of_its_length(owner: Any, database: str) -> None:
    before, _ = await _kept()

    assert (await attach(owner, f"{database}/d/big", CONTENT)).status == 201

    (made,) = (await _kept())[0] - before
    assert made.stat().st_size == len(CONTENT)
    answer = await owner.get(f"{database}/d/big")
    assert answer.body == CONTENT
    assert answer.headers["etag"] == f'"{digest(CONTENT)[4:]}"'
    part = await owner("GET", f"{database}/d/big", headers={"range": "bytes=600000-1400000"})
    assert part.body == CONTENT[600_000:1_400_001]


async def test_a_small_content_needs_no_file(owner: Any, database: str) -> None:
    before = await _kept()

    await attach(owner, f"{database}/d/small", CONTENT[: 64 * 1024])

    assert await _kept() == before
    assert (await owner.get(f"{database}/d/small")).body == CONTENT[: 64 * 1024]


@pytest.mark.parametrize("endpoint", ["PUT", "_bulk_docs", "new_edits=false"])
async def test_a_large_content_inside_a_document_is_a_file(
    owner: Any, database: str, endpoint: str
) -> None:
    before, _ = await _kept()
    document = {"_id": "d", "_attachments": _inline(CONTENT)}

    if endpoint == "PUT":
        answer = await owner.put(f"{database}/d", document)
    elif endpoint == "_bulk_docs":
        answer = await owner.post(f"{database}/_bulk_docs", {"docs": [document]})
    else:
        foreign = {"docs": [document | {"_rev": "1-aa"}], "new_edits": False}
        answer = await owner.post(f"{database}/_bulk_docs", foreign)

    assert answer.status == 201
    assert len((await _kept())[0] - before) == 1
    shown = await owner("GET", f"{database}/d", headers=JSON, attachments=True)
    member = shown.json()["_attachments"]["a"]
    assert base64.b64decode(member["data"]) == CONTENT
    assert member["digest"] == digest(CONTENT)


async def test_large_contents_come_and_go_in_multipart_bodies(owner: Any, database: str) -> None:
    packed = gzip.compress(CONTENT, 1)
    members = {
        "plain": {"follows": True, "length": len(CONTENT), "content_type": "a/b"},
        "packed": {
            "follows": True,
            "content_type": "c/d",
            "encoding": "gzip",
            "length": len(CONTENT),
            "encoded_length": len(packed),
            "digest": digest(packed),
        },
    }
    body = related({"_attachments": members}, CONTENT, packed)
    assert (await send_related(owner, f"{database}/d", body)).status == 201

    sent = await owner.get(f"{database}/d", attachments=True)
    assert CONTENT in sent.body
    assert packed in sent.body
    assert (await owner.get(f"{database}/d/packed")).body == CONTENT
    asked = {"docs": [{"id": "d"}]}
    rows = await owner.post(f"{database}/_bulk_get", asked, attachments=True)
    held = rows.json()["results"][0]["docs"][0]["ok"]["_attachments"]
    assert {name: base64.b64decode(one["data"]) for name, one in held.items()} == {
        "plain": CONTENT,
        "packed": CONTENT,
    }


async def test_many_small_parts_do_not_wait_together_in_memory(owner: Any, database: str) -> None:
    parts = [bytes([n]) * 60_000 for n in range(40)]
    members = {f"{n:02}": {"follows": True, "length": 60_000} for n in range(40)}
    before, _ = await _kept()

    answer = await send_related(owner, f"{database}/d", related({"_attachments": members}, *parts))

    assert answer.status == 201
    assert len((await _kept())[0] - before) == 40 - 1024 * 1024 // 60_000
    for n in (0, 39):
        assert (await owner.get(f"{database}/d/{n:02}")).body == parts[n]


async def test_attachments_count_in_the_sizes_of_a_database(owner: Any, database: str) -> None:
    await attach(owner, f"{database}/d/big", CONTENT)
    await attach(owner, f"{database}/e/small", b"12345")

    sizes = (await owner.get(database)).json()["sizes"]

    bodies = 2 * len(b"{}")
    assert sizes == dict.fromkeys(("file", "external", "active"), len(CONTENT) + 5 + bodies)


@pytest.mark.parametrize("refused", ["attachment", "multipart", "inline", "bulk", "known already"])
async def test_nothing_stays_of_a_write_that_is_refused(
    owner: Any, database: str, refused: str
) -> None:
    document = {"_attachments": _inline(CONTENT)}
    foreign = {"docs": [document | {"_id": "f", "_rev": "1-aa"}], "new_edits": False}
    await owner.put(f"{database}/d", {})
    await owner.post(f"{database}/_bulk_docs", foreign)
    before = await _kept()

    if refused == "attachment":
        answer = await attach(owner, f"{database}/d/big", CONTENT, rev="1-abc")
    elif refused == "multipart":
        member = {"a": {"follows": True, "length": len(CONTENT)}}
        answer = await send_related(
            owner, f"{database}/d", related({"_attachments": member}, CONTENT)
        )
    elif refused == "inline":
        answer = await owner.put(f"{database}/d", document)
    elif refused == "bulk":
        docs = {"docs": [document | {"_id": "d"}]}
        answer = await owner.post(f"{database}/_bulk_docs", docs)
        assert answer.json()[0]["error"] == "conflict"
    else:
        answer = await owner.post(f"{database}/_bulk_docs", foreign)

    assert answer.status == (201 if refused in ("bulk", "known already") else 409)
    assert await _kept() == before


async def test_nothing_stays_of_an_upload_that_is_cut_off(owner: Any, database: str) -> None:
    before = await _kept()
    exchange = owner.exchange("PUT", f"{database}/d/big", CONTENT, headers={"content-type": "a/b"})
    receive = exchange._receive

    async def cut() -> dict[str, Any]:
        if exchange.body_read > 1_000_000:
            return {"type": "http.disconnect"}
        return await receive()

    exchange._receive = cut
    async with exchange:
        await asyncio.wait([exchange._task])

    assert exchange.status == 0
    assert await _kept() == before
    assert (await owner.get(f"{database}/d")).status == 404


async def test_nothing_stays_of_an_upload_that_is_cancelled(owner: Any, database: str) -> None:
    before = await _kept()
    exchange = owner.exchange("PUT", f"{database}/d/big", CONTENT, headers={"content-type": "a/b"})
    receive, enough = exchange._receive, asyncio.Event()

    async def stall() -> dict[str, Any]:
        if exchange.body_read > 1_000_000:
            enough.set()
            await asyncio.Event().wait()
        return await receive()

    exchange._receive = stall
    async with exchange:
        await enough.wait()
        assert await _kept() != before

    assert await _kept() == before


@pytest.mark.parametrize("how", ["attachment", "multipart", "inline"])
async def test_a_full_disk_refuses_an_upload_and_nothing_stays(
    owner: Any, database: str, how: str
) -> None:
    before = await _kept()
    data = [path for path in settings.HUB_DATA.rglob("*") if path.is_file()]
    size = max(path.stat().st_size for path in data) + 1_000_000
    content = bytes(size + 1)

    with largest_file(size):
        if how == "attachment":
            answer = await attach(owner, f"{database}/d/big", content)
        elif how == "multipart":
            body = related(
                {"_attachments": {"a": {"follows": True, "length": len(content)}}}, content
            )
            answer = await send_related(owner, f"{database}/d", body)
        else:
            answer = await owner.put(f"{database}/d", {"_attachments": _inline(content)})

    assert (answer.status, answer.json()["error"]) == (507, "insufficient_storage")
    assert await _kept() == before
    assert (await owner.get(f"{database}/d")).status == 404


async def test_a_database_on_a_full_disk_refuses_a_document(
    owner: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    with monkeypatch.context() as patch:
        patch.setattr(databases, "lock", Mock(side_effect=full))
        answer = await owner.put(f"{database}/d", {})

    assert (answer.status, answer.json()["error"]) == (507, "insufficient_storage")
    assert (await owner.put(f"{database}/d", {})).status == 201


async def _with_missing_file(owner: Any, database: str) -> None:
    before, _ = await _kept()
    await attach(owner, f"{database}/d/big", CONTENT)
    await owner.put(f"{database}/e", {"x": 1})
    (made,) = (await _kept())[0] - before
    made.unlink()


async def test_a_missing_file_is_said_to_be_missing(owner: Any, database: str) -> None:
    await _with_missing_file(owner, database)

    for answer in (
        await owner.get(f"{database}/d/big"),
        await owner("HEAD", f"{database}/d/big"),
        await owner.get(f"{database}/d", attachments=True),
        await owner("GET", f"{database}/d", headers=JSON, attachments=True),
    ):
        assert answer.status == 500
    shown = (await owner.get(f"{database}/d/big")).json()
    assert (shown["error"], "missing" in shown["reason"]) == ("content_missing", True)
    assert (await owner.get(f"{database}/d")).status == 200


async def test_a_missing_file_stops_no_listing(owner: Any, database: str) -> None:
    await _with_missing_file(owner, database)

    listed = await owner.get(f"{database}/_all_docs", include_docs=True, attachments=True)
    first, second = (row["doc"] for row in listed.json()["rows"])
    assert (first["_attachments"]["big"]["stub"], second["x"]) == (True, 1)
    changed = await owner.get(f"{database}/_changes", include_docs=True, attachments=True)
    assert len(changed.json()["results"]) == 2
    asked = {"docs": [{"id": "d"}, {"id": "e"}]}
    rows = (await owner.post(f"{database}/_bulk_get", asked, attachments=True)).json()["results"]
    assert rows[0]["docs"][0]["error"]["error"] == "content_missing"
    assert rows[1]["docs"][0]["ok"]["x"] == 1
    parts = await owner(
        "POST",
        f"{database}/_bulk_get",
        asked,
        headers={"accept": "multipart/mixed"},
        attachments=True,
    )
    assert b"content_missing" in parts.body
    assert b'"x":1' in parts.body


async def test_a_dropped_database_leaves_no_files(owner: Any, database: str) -> None:
    before, _ = await _kept()
    await attach(owner, f"{database}/d/big", CONTENT)
    (made,) = (await _kept())[0] - before

    await owner.delete(database)
    await sync_to_async(tasks.housekeeping)()

    assert not made.exists()


async def test_contents_in_rows_of_an_older_hub_are_still_read(owner: Any, database: str) -> None:
    def as_rows(connection: sql.Sql) -> None:
        blob = attachments.store(connection, CONTENT, "", 1)
        connection.execute(
            "UPDATE couchapi_revision SET attachments = %s WHERE rev = %s",
            (b'{"a":%s}' % json.dumps(_held(blob)).encode(), rev),
        )

    rev = (await owner.put(f"{database}/old", {"n": 1})).json()["rev"]
    await sql.write(as_rows)

    assert (await owner.get(f"{database}/old/a")).body == CONTENT
    part = await owner("GET", f"{database}/old/a", headers={"range": "bytes=-7"})
    assert part.body == CONTENT[-7:]
    sent = await owner.get(f"{database}/old", attachments=True)
    assert CONTENT in sent.body


def _held(blob: int) -> dict[str, Any]:
    return {
        "blob": blob,
        "content_type": "a/b",
        "digest": digest(CONTENT),
        "length": len(CONTENT),
        "revpos": 1,
    }
