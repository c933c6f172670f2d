"""The server's own routes: who it is, who you are, which databases there are."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson
from django.conf import settings
from django.http.response import HttpResponseBase

from acl import gate, identity, sql
from acl.core.errors import Forbidden, HubError
from acl.core.policy import Right
from couchapi import feeds, parsers, renderers
from couchapi.core import params, sequence
from couchapi.core.errors import BadRequest, DatabaseMissing
from couchapi.core.params import AllDocsQuery, ChangesQuery
from couchapi.endpoints.base import ANY, EITHER, Endpoint
from couchapi.endpoints.changes import pace_of, sent
from couchapi.endpoints.databases import described
from couchapi.feeds import Page
from couchapi.permissions import AllowedOrigin
from couchapi.store import databases
from couchapi.wakeups import ANY_DATABASE

KNOWN = Right.KNOWN
_MOST_UUIDS = 1000
_MOST_DATABASES = 100
_PAGE = 500


class Root(Endpoint):
    """`GET /`: a welcome without names or counts (CouchDB docs, "api/server/common")."""

    rights = {"GET": ANY}

    async def get(self, request: Any) -> HttpResponseBase:
        """Say what this is; clients read the version, replicators the uuid."""
        key = identity.load(settings.HUB_DATA).device_key
        return renderers.json(
            {
                "couchdb": "Welcome",
                "version": "3.5.0",
                "git_sha": "0000000",
                "uuid": hashlib.sha256(f"uuid:{key}".encode()).hexdigest()[:32],
                "features": ["scheduler"],
                "vendor": {"name": "Thali Device Hub", "version": settings.HUB_VERSION},
            }
        )


class Up(Endpoint):
    """`GET /_up`."""

    rights = {"GET": ANY}

    async def get(self, request: Any) -> HttpResponseBase:
        """Say that the hub serves, which it does when the database answers."""
        await sql.point(lambda connection: connection.one("SELECT 1"))
        return renderers.json({"status": "ok", "seeds": {}})


class Uuids(Endpoint):
    """`GET /_uuids?count=n`."""

    rights = {"GET": ANY}

    async def get(self, request: Any) -> HttpResponseBase:
        """Return up to a thousand random ids."""
        count = params.count(request.GET.get("count", "1"))
        if count > _MOST_UUIDS:
            raise BadRequest("count parameter too large")
        made = [uuid.uuid4().hex for _ in range(count)]
        response = renderers.json({"uuids": made})
        response.headers["Cache-Control"] = "must-revalidate, no-cache"
        return response


class AllDatabases(Endpoint):
    """`GET /_all_dbs`: those the caller may read or write."""

    rights = {"GET": KNOWN}

    async def get(self, request: Any) -> HttpResponseBase:
        """Return the names in order."""
        query = AllDocsQuery.from_query(request.GET)
        return renderers.json(query.apply(await _visible_names(request)))


class DatabasesInfo(Endpoint):
    """`/_dbs_info`: several databases described at once."""

    rights = {"GET": KNOWN, "POST": KNOWN}

    async def get(self, request: Any) -> HttpResponseBase:
        """Describe all that the caller sees."""
        query = AllDocsQuery.from_query(request.GET)
        return await _described(request, query.apply(await _visible_names(request)))

    async def post(self, request: Any) -> HttpResponseBase:
        """Describe those that the body names."""
        parsers.require_json(request)
        asked = (await parsers.json_object(request)).get("keys")
        if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
            raise BadRequest("`keys` member must exist.")
        if len(asked) > _MOST_DATABASES:
            raise BadRequest(f"`keys` member must not have more than {_MOST_DATABASES} entries.")
        return await _described(request, asked)


class DatabaseUpdates(Endpoint):
    """`GET /_db_updates`: which databases were made, changed and deleted."""

    rights = {"GET": KNOWN}

    async def get(self, request: Any) -> HttpResponseBase:
        """Send the events, in any of the feed's forms."""
        query = ChangesQuery.from_query(request.GET)
        since = await _event_since(query.since)
        seen = await _sees(request)
        pages = feeds.follow(
            ANY_DATABASE,
            since,
            pace_of(query),
            feeds.scanned(partial(_events, seen)),
            partial(_sees_as_before, request, seen),
        )
        return sent(query, pages, since, _end)


async def _visible_names(request: Any) -> Sequence[str]:
    visible = await gate.visible_databases(request.caller)
    names = await sql.scan(databases.names)
    return names if visible is None else [name for name in names if name in visible]


async def _described(request: Any, names: Sequence[str]) -> HttpResponseBase:
    rows = [await _describe_one(request, name) for name in names]
    return renderers.json(rows)


async def _describe_one(request: Any, name: str) -> dict[str, Any]:
    try:
        permit = await gate.check(request.caller, EITHER, name)
        return {"key": name, "info": await described(permit, name)}
    except HubError:  # Not there, or not to be seen: the same answer.
        return {"key": name, "error": DatabaseMissing.word}


async def _event_since(text: str) -> int:
    if text == "now":
        return await sql.point(databases.last_event)
    return sequence.number(text)


async def _sees(request: Any) -> frozenset[str] | None:
    return await gate.visible_databases(request.caller)


async def _sees_as_before(request: Any, seen: frozenset[str] | None) -> bool:
    """Tell whether the caller sees the same databases; else its feed ends, and it asks again."""
    try:
        await AllowedOrigin().admit(request)
    except Forbidden:
        return False
    return await _sees(request) == seen


def _events(
    visible: frozenset[str] | None, connection: sql.Sql, since: int, limit: int | None
) -> Page:
    """Read a page of events; those of databases that the caller does not see are passed over."""
    found = databases.events(connection, since, _PAGE)
    shown = [one for one in found if visible is None or one[1] in visible]
    cut = limit is not None and limit < len(shown)
    if cut:
        shown = shown[:limit]
        last = shown[-1][0] if shown else since
    else:
        last = found[-1][0] if found else since
    rows = [
        orjson.dumps({"db_name": name, "type": kind, "seq": str(seq)}) for seq, name, kind in shown
    ]
    return Page(rows, last, exhausted=not cut and len(found) < _PAGE)


def _end(last: int, pending: int) -> bytes:
    return b'"last_seq":"%d"' % last
