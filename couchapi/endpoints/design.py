"""What design documents define: their views (CouchDB docs, "api/ddoc")."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import orjson
from django.http.response import HttpResponseBase

from acl import sql
from acl.core.errors import Forbidden
from acl.core.policy import Right
from couchapi import indexer, parsers, renderers
from couchapi.core import etags
from couchapi.core.viewparams import ViewQuery
from couchapi.endpoints.base import READ, Endpoint, visible_to
from couchapi.viewreader import groups, opening, rows
from couchapi.viewreader.opening import Design
from couchapi.viewreader.rows import RowsQuery

VIEW = Right.VIEW
Pieces = AsyncGenerator[bytes, None]


class _OfView(Endpoint):
    """A route of one view: the right to read that view is enough."""

    def view_name(self) -> str | None:
        """Return the `ddoc/view` that a grant names."""
        docid, name = self.kwargs["docid"], self.kwargs["name"]
        return f"{docid.removeprefix('_design/')}/{name}"


class View(_OfView):
    """`/db/_design/d/_view/v`."""

    rights = {"GET": VIEW, "POST": VIEW}

    async def get(self, request: Any, db_name: str, docid: str, name: str) -> HttpResponseBase:
        """Show rows, or what they reduce to, by the parameters of the URL."""
        query = ViewQuery.from_query(request.GET)
        asked = await _opened(request, db_name, docid, name, query)
        headers = {}
        if request.permit.read:  # Others must not learn from it that something was written.
            headers["ETag"] = _etag(asked, request)
        if headers and etags.matches(request.header(b"if-none-match"), headers["ETag"]):
            return renderers.not_modified(headers)
        return renderers.stream(await _begun(_text(asked)), headers=headers)

    async def post(self, request: Any, db_name: str, docid: str, name: str) -> HttpResponseBase:
        """Show rows, or what they reduce to, by the parameters of the body."""
        parsers.require_json(request)
        body = await parsers.json_object_or_empty(request)
        query = ViewQuery.from_body(body, request.GET)
        asked = await _opened(request, db_name, docid, name, query)
        return renderers.stream(await _begun(_text(asked)))


class ViewQueries(_OfView):
    """`POST /db/_design/d/_view/v/queries`: several questions at once."""

    rights = {"POST": VIEW}

    async def post(self, request: Any, db_name: str, docid: str, name: str) -> HttpResponseBase:
        """Return the answers in the order of the questions."""
        parsers.require_json(request)
        body = await parsers.json_object(request)
        queries = ViewQuery.many_from_body(body, request.GET)
        several = [await _opened(request, db_name, docid, name, query) for query in queries]
        return renderers.stream(await _begun(_texts(several)))


class Info(Endpoint):
    """`/db/_design/d/_info`."""

    rights = {"GET": READ}

    async def get(self, request: Any, db_name: str, docid: str) -> HttpResponseBase:
        """Describe the index of the design document's views."""
        found = await sql.point(partial(opening.design, db_name=db_name, docid=docid))
        name = docid.removeprefix("_design/")
        return renderers.json({"name": name, "view_index": _described(found)})


def _described(found: Design) -> dict[str, Any]:
    index, database = found.index, found.database
    size = 0 if index is None else index.size
    built = 0 if index is None else index.seq
    pending = max(0, database.update_seq - built)
    return {
        "signature": found.group.signature,
        "language": found.group.language,
        "updater_running": index is not None and indexer.is_building(index),
        "compact_running": False,
        "waiting_commit": False,
        "waiting_clients": 0,
        "update_seq": built,
        "purge_seq": 0 if index is None else index.purge_seq,
        "sizes": {"active": size, "external": size, "file": size},
        "updates_pending": {"minimum": pending, "preferred": pending, "total": pending},
    }


async def _opened(request: Any, db_name: str, docid: str, name: str, query: ViewQuery) -> RowsQuery:
    """Return what is read for this caller; raises what the query is refused for."""
    if not request.permit.read and (query.shows_documents or query.update_seq):
        raise Forbidden("You may read the rows of this view, and nothing else of the database.")
    opened, checked = await opening.open_view(db_name, docid, name, query)
    return RowsQuery(opened, checked, visible_to(request))


def _text(asked: RowsQuery, end: bytes = b"\n") -> Pieces:
    return groups.text(asked, end) if asked.query.reduce else rows.text(asked, end)


async def _texts(several: Sequence[RowsQuery]) -> Pieces:
    yield b'{"results":['
    for number, asked in enumerate(several):
        if number:
            yield b","
        async for piece in _text(asked, end=b""):
            yield piece
    yield b"]}\n"


async def _begun(pieces: Pieces) -> Pieces:
    """Return the pieces once the first is there: until then an error has a status of its own."""
    first = await anext(pieces)
    return _with(first, pieces)


async def _with(first: bytes, rest: Pieces) -> Pieces:
    async with contextlib.aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


def _etag(asked: RowsQuery, request: Any) -> str:
    """Return a tag that changes with whatever may change the answer."""
    opened = asked.opened
    tag = blake2b(digest_size=16)
    tag.update(orjson.dumps([opened.index.id, opened.index.seq, opened.view.name]))
    tag.update(orjson.dumps(sorted(request.GET.items())))
    tag.update(orjson.dumps(request.permit.selectors))
    if asked.query.include_docs or asked.visible is not None:
        tag.update(orjson.dumps(opened.design.database.update_seq))
    return f'"{tag.hexdigest()}"'
