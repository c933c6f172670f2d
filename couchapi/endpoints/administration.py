"""What the owner of a database does to it as a whole: sharing, limits, making room."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from django.http.response import HttpResponseBase

from acl import sql
from acl import store as acl_store
from acl.core.policy import Members
from couchapi import parsers, renderers, tasks
from couchapi.core import docjson, names, revid, security, sequence
from couchapi.core.errors import BadRequest
from couchapi.endpoints.base import ADMIN, EITHER, READ, Endpoint
from couchapi.store import databases, designs, maintenance


class Security(Endpoint):
    """`/db/_security`: the ACLs in CouchDB's words.

    Members are those who may read and write everything; names are principals, roles are groups.
    Finer grants (reading alone, one view, a selector) are not touched.
    """

    rights = {"GET": ADMIN, "PUT": ADMIN}

    async def get(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return who may what."""
        database = await sql.point(partial(databases.get, name=db_name))
        held = await sql.point(partial(acl_store.members_of, db_name=db_name))
        kept = orjson.loads(database.security)
        return renderers.json(security.shown(kept, held, to_owner=request.permit.is_owner))

    async def put(self, request: Any, db_name: str) -> HttpResponseBase:
        """Grant to those who are named, and take from those who no longer are.

        The owner is told of a name that nobody has; an application, to which the names of others
        are none of its business, always gets the same answer.
        """
        members, admins, rest = security.read(await parsers.json_object(request))
        by_owner = request.permit.is_owner
        if not by_owner:
            rest[security.ASKED] = security.asked(members, admins)
        change = partial(_set_security, members=members, admins=admins, rest=rest)
        await sql.write(partial(change, db_name=db_name, all_known=by_owner))
        return renderers.ok()


class RevsLimit(Endpoint):
    """`/db/_revs_limit`: how many ancestors of a leaf are kept."""

    rights = {"GET": READ, "PUT": ADMIN}

    async def get(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return the limit."""
        database = await sql.point(partial(databases.get, name=db_name))
        return renderers.json(database.revs_limit)

    async def put(self, request: Any, db_name: str) -> HttpResponseBase:
        """Set the limit."""
        limit = await _positive_number(request, "Rev limit has to be an integer larger than 0")
        await sql.write(partial(databases.set_revs_limit, name=db_name, limit=limit))
        return renderers.ok()


class PurgedInfosLimit(Endpoint):
    """`/db/_purged_infos_limit`: how many purges are remembered."""

    rights = {"GET": READ, "PUT": ADMIN}

    async def get(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return the limit."""
        database = await sql.point(partial(databases.get, name=db_name))
        return renderers.json(database.purged_infos_limit)

    async def put(self, request: Any, db_name: str) -> HttpResponseBase:
        """Set the limit."""
        limit = await _positive_number(request, "`purged_infos_limit` must be positive integer")
        await sql.write(partial(databases.set_purged_infos_limit, name=db_name, limit=limit))
        return renderers.ok()


class EnsureFullCommit(Endpoint):
    """`POST /db/_ensure_full_commit`: every answered write is durable already."""

    rights = {"POST": EITHER}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Say so."""
        parsers.require_json(request)
        await sql.point(partial(databases.get, name=db_name))
        return renderers.json({"ok": True, "instance_start_time": "0"}, 201)


class Compact(Endpoint):
    """`POST /db/_compact`: forget the bodies of old revisions, in the background."""

    rights = {"POST": ADMIN}

    async def post(self, request: Any, db_name: str, design: str = "") -> HttpResponseBase:
        """Ask a worker to do it."""
        parsers.require_json(request)
        await sql.point(partial(databases.get, name=db_name))
        await tasks.later(tasks.compact, db_name)
        return renderers.ok(202)


class ViewCleanup(Endpoint):
    """`POST /db/_view_cleanup`: remove the indexes of views that are defined no more."""

    rights = {"POST": ADMIN}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Take them out of use, and ask a worker to remove their rows."""
        parsers.require_json(request)
        if await sql.write(partial(designs.forget_unused, db_name=db_name)):
            await tasks.later(tasks.remove_indexes)
        return renderers.ok(202)


class Purge(Endpoint):
    """`POST /db/_purge`: forget revisions without a trace."""

    rights = {"POST": ADMIN}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Purge the leaves that the body names."""
        parsers.require_json(request)
        body = await parsers.json_object(request)
        asked = {names.check_docid(docid): _revs(revs) for docid, revs in body.items()}
        database, purged = await sql.write(partial(maintenance.purge, db_name=db_name, asked=asked))
        purge_seq = sequence.format(database.purge_seq, database.epoch)
        return renderers.json({"purge_seq": purge_seq, "purged": purged}, 201)


class PurgedInfos(Endpoint):
    """`GET /db/_purged_infos`: the purges that are remembered."""

    rights = {"GET": ADMIN}

    async def get(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return them, oldest first."""
        infos = await sql.scan(partial(maintenance.purged_infos, db_name=db_name))
        rows = [{"uuid": uuid, "id": docid, "revs": revs} for uuid, docid, revs in infos]
        return renderers.json({"purged_infos": rows})


def _set_security(
    connection: sql.Sql,
    db_name: str,
    members: Members,
    admins: Members,
    rest: dict[str, Any],
    all_known: bool,
) -> None:
    databases.set_security(connection, db_name, orjson.dumps(rest))
    acl_store.set_members(connection, db_name, members, admins, all_known=all_known)


async def _positive_number(request: Any, reason: str) -> int:
    value = docjson.parse_plain(await parsers.whole(request))
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise BadRequest(reason)
    return value


def _revs(value: Any) -> list[revid.RevId]:
    if not isinstance(value, list) or not all(isinstance(rev, str) for rev in value):
        raise BadRequest("Request body must be a JSON object of arrays of revisions")
    return [revid.parse(rev) for rev in value]
