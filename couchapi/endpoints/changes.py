"""`/db/_changes` in its four forms: normal, longpoll, continuous, eventsource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
from django.http.response import HttpResponseBase

from acl import gate, sql
from acl.core.errors import HubError
from couchapi import feeds, parsers, renderers
from couchapi.core import etags, sequence
from couchapi.core.params import ChangesQuery
from couchapi.endpoints.base import READ, Endpoint, visible_to
from couchapi.feeds import HEARTBEAT, Pace, Page
from couchapi.feeds.changes import reader_of, start


class Changes(Endpoint):
    """`/db/_changes`."""

    rights = {"GET": READ, "POST": READ}

    async def get(self, request: Any, db_name: str) -> HttpResponseBase:
        """Send the changes that the URL asks for."""
        last_event = request.header(b"last-event-id")
        query = ChangesQuery.from_query(request.GET, last_event_id=last_event)
        return await _feed(request, db_name, query)

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Send the changes that the URL and the body ask for."""
        parsers.require_json(request)
        body = await parsers.json_object_or_empty(request)
        last_event = request.header(b"last-event-id")
        query = ChangesQuery.from_query(request.GET, body=body, last_event_id=last_event)
        return await _feed(request, db_name, query)


async def _feed(request: Any, db_name: str, query: ChangesQuery) -> HttpResponseBase:
    since, epoch = await sql.point(partial(start, db_name=db_name, query=query))
    read = reader_of(db_name, query, visible_to(request))
    headers = {}
    if query.feed == "normal" and request.method == "GET":
        headers["ETag"] = await _etag(db_name, request)
        if etags.matches(request.header(b"if-none-match"), headers["ETag"]):
            return renderers.not_modified(headers)
    allowed = partial(_still_allowed, request.caller, db_name, request.permit)
    pages = feeds.follow(db_name, since, _pace(query), read, allowed)
    if query.feed == "eventsource":
        return renderers.stream(_events(pages), content_type="text/event-stream")
    if query.feed == "continuous":
        return renderers.stream(_lines(pages, since, epoch))
    return renderers.stream(_listed(pages, since, epoch), headers=headers)


def _pace(query: ChangesQuery) -> Pace:
    return Pace(
        live=query.feed != "normal",
        once=query.feed == "longpoll",
        heartbeat=query.heartbeat,
        timeout=query.timeout,
        limit=query.limit,
    )


async def _etag(db_name: str, request: Any) -> str:
    """Name what a normal feed shows: it changes with the database and with what was asked."""
    since_now = ChangesQuery(since=sequence.NOW)
    newest, epoch = await sql.point(partial(start, db_name=db_name, query=since_now))
    version = await gate.acl_version()
    return f'"{newest}-{epoch}-{version}"'


async def _still_allowed(caller: Any, db_name: str, permit: Any) -> bool:
    """Tell whether the caller may still read what it could when the feed began."""
    try:
        now = await gate.check(caller, READ, db_name)
    except HubError:
        return False
    return bool(now.selectors == permit.selectors)


async def _listed(pages: AsyncIterator[Page], since: int, epoch: str) -> AsyncIterator[bytes]:
    separator, last, pending = b'{"results":[\n', since, 0
    yield separator
    separator = b""
    async for page in pages:
        if page is HEARTBEAT:
            yield b"\n"
            continue
        last, pending = page.last, page.pending
        if page.rows:
            yield separator + b",\n".join(page.rows)
            separator = b",\n"
    yield b'\n],\n"last_seq":"%s","pending":%d}\n' % (_text(last, epoch), pending)


async def _lines(pages: AsyncIterator[Page], since: int, epoch: str) -> AsyncIterator[bytes]:
    last, pending = since, 0
    yield b""
    async for page in pages:
        if page is HEARTBEAT:
            yield b"\n"
            continue
        last, pending = page.last, page.pending
        if page.rows:
            yield b"\n".join(page.rows) + b"\n"
    yield b'{"last_seq":"%s","pending":%d}\n' % (_text(last, epoch), pending)


async def _events(pages: AsyncIterator[Page]) -> AsyncIterator[bytes]:
    yield b""
    async for page in pages:
        if page is HEARTBEAT:
            yield b"event: heartbeat\ndata: \n\n"
        for row in page.rows:
            yield b"data: %s\nid: %s\n\n" % (row, orjson.dumps(orjson.loads(row)["seq"])[1:-1])


def _text(seq: int, epoch: str) -> bytes:
    return sequence.format(seq, epoch).encode()
