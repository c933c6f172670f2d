"""A database of another server, by CouchDB's HTTP API.

The connection comes from `discovery.dialer`, which has looked at the other side's key.  Answers
are read up to a limit: one that would be larger is asked for in halves, so that a batch of large
documents is never in memory as a whole.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import orjson

from couchapi.core import docjson
from couchapi.core.errors import MissingStub
from discovery.dialer.broken import BROKEN
from replication.core import schedule
from replication.core.errors import NotAllowed, Refused, Retryable, SourceMissing
from replication.peers.base import Batch, Change, Changes, Failure, Fetched, Related, Wanted

_TRIES = 5
_FIRST_PAUSE = 0.25
_LARGEST_ANSWER = 64 * 1024 * 1024
_LARGEST_DOCUMENT = 64 * 1024 * 1024
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
_JSON = {"content-type": "application/json", "accept": "application/json"}


class _Answer(NamedTuple):
    """An answer that was read whole."""

    status_code: int
    content: bytes


class TooLarge(Exception):
    """An answer is longer than we want to hold at once."""


class RemotePeer:
    """A database at the other end of `client`."""

    def __init__(self, client: httpx.AsyncClient, db_name: str, *, name: str) -> None:
        """`name` tells this database from all others, at every run (`httpkey://…/db`)."""
        self.name = name
        self._client = client
        self._path = "/" + quote(db_name, safe="")

    async def exists(self) -> bool:
        """Tell whether there is such a database that we may use."""
        answer = await self._ask("GET", "", allowed=(404,))
        return answer.status_code != 404

    async def create(self) -> None:
        """Make the database."""
        await self._ask("PUT", "", allowed=(412,))

    async def read_note(self, replication_id: str) -> Mapping[str, Any] | None:
        """Return the checkpoint's content."""
        answer = await self._ask("GET", f"/_local/{replication_id}", allowed=(404,))
        return None if answer.status_code == 404 else _object(answer)

    async def write_note(self, replication_id: str, note: Mapping[str, Any]) -> None:
        """Keep the checkpoint; of two runs that write at once, the later one's stays."""
        path = f"/_local/{replication_id}"
        for _ in range(_TRIES):
            held = await self.read_note(replication_id)
            rev = {} if held is None else {"_rev": held["_rev"]}
            body = orjson.dumps({**note, "_id": f"_local/{replication_id}", **rev})
            answer = await self._ask("PUT", path, body, allowed=(409,))
            if answer.status_code != 409:
                return
        raise Retryable("The checkpoint is being written by somebody else. It is tried again.")

    async def changes(
        self, since: Any, params: Mapping[str, str], body: Mapping[str, Any] | None, limit: int
    ) -> Changes:
        """Return what follows `since`."""
        since_text = since if isinstance(since, str) else orjson.dumps(since).decode()
        query = {**params, "feed": "normal", "since": since_text, "limit": str(limit)}
        query["seq_interval"] = str(limit)
        text = None if body is None else orjson.dumps(body)
        answer = await self._ask("GET" if body is None else "POST", "/_changes", text, params=query)
        found = _object(answer)
        try:
            rows = [
                Change(row["id"], tuple(one["rev"] for one in row["changes"]))
                for row in found["results"]
            ]
            pending = int(found.get("pending") or 0)
            return Changes(rows, found["last_seq"], pending, is_last=len(rows) < limit)
        except (KeyError, TypeError, ValueError) as error:
            raise Refused("The other server's feed of changes cannot be understood.") from error

    async def missing(self, rows: Sequence[Change]) -> list[Wanted]:
        """Return the revisions that the database has not."""
        asked: dict[str, list[str]] = {}
        for row in rows:
            asked.setdefault(row.docid, []).extend(row.revs)
        diff = _object(await self._ask("POST", "/_revs_diff", orjson.dumps(asked)))
        # Only what was asked for: a server that gets a part of a database must not pick the rest.
        return [
            Wanted(docid, rev, tuple(one.get("possible_ancestors") or ()))
            for docid, one in diff.items()
            for rev in one.get("missing", ())
            if rev in asked.get(docid, ())
        ]

    async def fetch(self, wanted: Sequence[Wanted], *, latest: bool = True) -> Batch:
        """Return the documents; many large ones are asked for in several turns."""
        try:
            return await self._fetch(wanted, latest=latest)
        except TooLarge:
            if len(wanted) == 1:  # What is too large for a batch goes like attachments, alone.
                return Batch([], list(wanted))
            middle = len(wanted) // 2
            halves = [
                await self.fetch(some, latest=latest) for some in (wanted[:middle], wanted[middle:])
            ]
            return Batch(
                halves[0].documents + halves[1].documents,
                halves[0].with_attachments + halves[1].with_attachments,
                halves[0].failed + halves[1].failed,
            )

    async def _fetch(self, wanted: Sequence[Wanted], *, latest: bool) -> Batch:
        body = {"docs": [{"id": one.docid, "rev": one.rev} for one in wanted]}
        params = {"revs": "true", "attachments": "false"} | ({"latest": "true"} if latest else {})
        answer = await self._ask(
            "POST", "/_bulk_get", orjson.dumps(body), params=params, allowed=(404, 405)
        )
        if answer.status_code in (404, 405):  # An old server: each document by itself.
            return Batch([], list(wanted))
        size = len(answer.content) // len(wanted)
        return _sorted_out(wanted, docjson.parse_batch(answer.content), size)

    async def fetch_related(self, wanted: Wanted) -> Related | Fetched | None:
        """Return one document and the attachments that no ancestor has."""
        params = {"rev": wanted.rev, "revs": "true", "attachments": "true", "latest": "true"}
        if wanted.ancestors:
            params["atts_since"] = json.dumps(list(wanted.ancestors))
        request = self._client.build_request(
            "GET",
            self._path + "/" + _doc_path(wanted.docid),
            params=params,
            # A server that is offered JSON, too, may well send everything inside the document.
            headers={"accept": "multipart/related"},
        )
        answer = await self._sent(request)
        if answer.status_code == 404:
            await answer.aclose()
            return None
        await _check(answer)
        kind = answer.headers.get("content-type", "")
        if kind.startswith("multipart/related"):
            return Related(wanted, kind, _pieces(answer))
        text = await _read(answer, _LARGEST_DOCUMENT)
        return Fetched(wanted.docid, wanted.rev, text=text)

    async def write(self, documents: Sequence[Fetched]) -> list[Failure]:
        """Write revisions that were made elsewhere; a batch that is too large goes in halves."""
        if not documents:
            return []
        body = b'{"new_edits":false,"docs":[' + b",".join(one.text for one in documents) + b"]}"
        answer = await self._ask("POST", "/_bulk_docs", body, allowed=(412, 413))
        if answer.status_code == 412:
            raise MissingStub
        if answer.status_code == 413:
            if len(documents) == 1:
                return [Failure(documents[0].docid, "document_too_large", "It is too large.")]
            middle = len(documents) // 2
            return [*await self.write(documents[:middle]), *await self.write(documents[middle:])]
        rows = _list(answer)
        return [_failure(row) for row in rows if isinstance(row, dict) and "error" in row]

    async def write_related(self, related: Related) -> Failure | None:
        """Write one revision with its attachments, as they come."""
        request = self._client.build_request(
            "PUT",
            self._path + "/" + _doc_path(related.wanted.docid),
            params={"new_edits": "false"},
            headers={"content-type": related.content_type, "accept": "application/json"},
            content=related.pieces,
        )
        answer = await self._sent(request)
        text = await _read(answer, _LARGEST_ANSWER)
        if answer.status_code == 412:
            raise MissingStub
        if answer.status_code in (400, 401, 403, 413, 415):
            row = orjson.loads(text)
            return Failure(related.wanted.docid, row["error"], row["reason"])
        _raise_for(answer)
        return None

    async def commit(self) -> None:
        """Make what was written durable."""
        await self._ask("POST", "/_ensure_full_commit", b"{}")

    # -- requests --------------------------------------------------------------------------------

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        params: Mapping[str, str] | None = None,
        allowed: Sequence[int] = (),
    ) -> _Answer:
        """Return a whole answer; what may be better in a moment is tried again."""
        pause = _FIRST_PAUSE
        for turn in range(1, _TRIES + 1):
            try:
                return await self._once(method, path, body, params, allowed)
            except Retryable as error:
                if turn == _TRIES or (error.after or 0) > _TRIES:
                    raise
                await asyncio.sleep(max(pause, error.after or 0))
                pause *= 2
        raise AssertionError

    async def _once(
        self,
        method: str,
        path: str,
        body: bytes | None,
        params: Mapping[str, str] | None,
        allowed: Sequence[int],
    ) -> _Answer:
        request = self._client.build_request(
            method, self._path + path, params=params, content=body, headers=_JSON
        )
        answer = await self._sent(request)
        content = await _read(answer, _LARGEST_ANSWER)
        if answer.status_code not in allowed:
            _raise_for(answer)
        return _Answer(answer.status_code, content)

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._client.send(request, stream=True)
        except BROKEN as error:
            raise Retryable from error


async def _read(answer: httpx.Response, limit: int) -> bytes:
    pieces, size = [], 0
    async with aclosing(_pieces(answer)) as incoming:
        async for piece in incoming:
            size += len(piece)
            if size > limit:
                raise TooLarge
            pieces.append(piece)
    return b"".join(pieces)


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_bytes():
            yield piece
    except BROKEN as error:
        raise Retryable from error
    finally:
        await answer.aclose()


async def _check(answer: httpx.Response) -> None:
    if not answer.is_success:
        await answer.aclose()
        _raise_for(answer)


def _raise_for(answer: httpx.Response) -> None:
    status = answer.status_code
    if answer.is_success:
        return
    if status in _WORTH_ANOTHER_TRY:
        raise Retryable(after=_seconds(answer.headers.get("retry-after")))
    if status in (401, 403):
        raise NotAllowed
    if status == 404:
        raise SourceMissing
    raise Refused(f"The other server answered {status}, which is not understood here.")


def _seconds(text: str | None) -> float | None:
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return min(float(text), schedule.LONGEST_PAUSE)  # Else no date could show when.


def _object(answer: _Answer) -> dict[str, Any]:
    value = _json(answer)
    if not isinstance(value, dict):
        raise Refused
    return value


def _list(answer: _Answer) -> list[Any]:
    value = _json(answer)
    if not isinstance(value, list):
        raise Refused
    return value


def _json(answer: _Answer) -> Any:
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        raise Retryable("The other server's answer is not whole.") from error


def _doc_path(docid: str) -> str:
    if docid.startswith("_design/"):
        return "_design/" + quote(docid.removeprefix("_design/"), safe="")
    return quote(docid, safe="")


def _failure(row: Mapping[str, Any]) -> Failure:
    return Failure(str(row.get("id")), str(row["error"]), str(row.get("reason")))


def _sorted_out(wanted: Sequence[Wanted], answer: Any, size: int) -> Batch:
    """Tell documents with attachments from those without, and from what is not there."""
    ancestors = {(one.docid, one.rev): one.ancestors for one in wanted}
    batch, failed = Batch([], []), 0
    try:
        for result in answer["results"]:
            for one in result["docs"]:
                document = one.get("ok")
                if document is None:
                    failed += 1
                    continue
                docid, rev = document["_id"], document["_rev"]
                if document.get("_attachments"):
                    known = ancestors.get((docid, rev), ())
                    batch.with_attachments.append(Wanted(docid, rev, known))
                else:
                    batch.documents.append(Fetched(docid, rev, value=document, size=size))
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused("The other server's documents cannot be understood.") from error
    return batch._replace(failed=failed)
