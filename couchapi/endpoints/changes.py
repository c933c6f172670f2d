"""`/db/_changes` in its four forms: normal, longpoll, continuous, eventsource."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
from django.http.response import HttpResponseBase

from acl import gate, sql
from acl.core.errors import HubError
from couchapi import feeds, parsers, renderers
from couchapi.core import etags, sequence, told
from couchapi.core.params import ChangesQuery
from couchapi.endpoints.base import READ, Endpoint, visible_to
from couchapi.feeds import Pace, filtered, text
from couchapi.feeds.changes import function_of, reader_of, start
from couchapi.feeds.text import End, Pages
from couchapi.permissions import AllowedOrigin
from couchapi.store import databases
from couchapi.writing import security_of


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
    source = await _source(request, db_name, epoch, query, since)
    headers = {}
    if query.feed == "normal" and request.method != "POST":
        headers["ETag"] = await _etag(db_name, request)
        if etags.matches(request.header(b"if-none-match"), headers["ETag"]):
            return renderers.not_modified(headers)
    allowed = partial(_still_allowed, request, db_name)
    pages = feeds.follow(db_name, since, pace_of(query), source, allowed)
    return sent(query, pages, since, partial(_end, epoch), headers)


async def _source(
    request: Any, db_name: str, epoch: str, query: ChangesQuery, since: int
) -> feeds.Source:
    read = reader_of(db_name, epoch, query, visible_to(request))
    if function_of(query) is None:
        return feeds.scanned(read)
    function = await sql.scan(partial(filtered.find, db_name=db_name, query=query))
    asked = await sql.scan(partial(_request_object, request=request, db_name=db_name))
    source = filtered.source_of(read, function, orjson.dumps(asked))
    return await filtered.primed(source, since, query.limit)


def _request_object(connection: sql.Sql, request: Any, db_name: str) -> dict[str, Any]:
    """Return what a filter function is told of the request."""
    database = databases.get(connection, db_name)
    caller, permit = request.caller, request.permit
    return told.request_object(
        request.method,
        request.get_full_path(),
        request.GET.dict(),
        request.headers,
        {"db_name": db_name},
        told.user_context(db_name, caller.key or "", permit.groups, permit.is_owner),
        security_of(connection, database),
    )


def sent(
    query: ChangesQuery, pages: Pages, since: int, end: End, headers: Mapping[str, str] = {}
) -> HttpResponseBase:
    """Return the pages in the form that was asked for."""
    if query.feed == "eventsource":
        return renderers.stream(text.events(pages), content_type="text/event-stream")
    if query.feed == "continuous":
        return renderers.stream(text.lines(pages, since, end))
    return renderers.stream(text.listed(pages, since, end), headers=headers)


def pace_of(query: ChangesQuery) -> Pace:
    """Return how long the feed goes on."""
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


async def _still_allowed(request: Any, db_name: str) -> bool:
    """Tell whether the caller may still read what it could when the feed began."""
    try:
        await AllowedOrigin().admit(request)
        now = await gate.check(request.caller, READ, db_name)
    except HubError:
        return False
    return bool(now.selectors == request.permit.selectors)


def _end(epoch: str, last: int, pending: int) -> bytes:
    return b'"last_seq":"%s","pending":%d' % (sequence.format(last, epoch).encode(), pending)
