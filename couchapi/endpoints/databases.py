"""Databases: making, describing and deleting them (CouchDB docs, "api/database/common")."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase

from acl import sql
from acl.core.errors import Forbidden
from acl.core.policy import OWNERS_ALONE, Permit, Right
from couchapi import reader, renderers
from couchapi.core import names, sequence, visibility
from couchapi.core.errors import BadRequest, Gone
from couchapi.endpoints import documents
from couchapi.endpoints.base import ADMIN, EITHER, READ, WRITE, Endpoint
from couchapi.store import databases, space
from couchapi.store.databases import DatabaseRow

_POLICIES = ("lww", "couch")


class Database(Endpoint):
    """`/db`."""

    rights = {"GET": EITHER, "PUT": Right.CREATE, "DELETE": ADMIN, "POST": WRITE}

    async def get(self, request: Any, db_name: str) -> HttpResponseBase:
        """Describe the database."""
        return renderers.json(await described(request.permit, db_name))

    async def put(self, request: Any, db_name: str) -> HttpResponseBase:
        """Make the database; `conflict_policy=couch` lets conflicts stay, as CouchDB does."""
        names.check_database_name(db_name)
        if db_name in OWNERS_ALONE and not request.permit.is_owner:
            raise Forbidden
        policy = request.GET.get("conflict_policy", settings.HUB_CONFLICT_POLICY)
        if policy not in _POLICIES:
            raise BadRequest("conflict_policy is `lww` or `couch`.")
        await space.require()
        creator = None if request.permit.is_owner else request.caller.principal_id
        epoch = secrets.token_hex(4)
        await sql.write(
            lambda connection: databases.create(
                connection, db_name, policy=policy, epoch=epoch, creator_id=creator
            )
        )
        return renderers.json({"ok": True}, 201, {"Location": request.path})

    async def delete(self, request: Any, db_name: str) -> HttpResponseBase:
        """Delete the database and everything in it."""
        if "rev" in request.GET:
            raise BadRequest(
                "You tried to DELETE a database with a ?rev= parameter. "
                "Did you mean to DELETE a document instead?"
            )
        await sql.write(lambda connection: databases.drop(connection, db_name))
        return renderers.ok()

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Write a document whose id may be left to us."""
        return await documents.create(request, db_name)


class TemporaryView(Endpoint):
    """`POST /db/_temp_view`: a part of CouchDB's past."""

    rights = {"POST": READ}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Say that it is gone."""
        raise Gone


async def described(permit: Permit, db_name: str) -> Mapping[str, Any]:
    """Return what `GET /db` says to a caller with this permit; raises DatabaseMissing.

    Who may only write, sees no counts and no sequence number; who sees some documents, counts
    those (design/access-control.md).
    """
    visible = visibility.of_selectors(permit.selectors)
    if visible is None:
        database = await sql.point(lambda connection: databases.get(connection, db_name))
        counts = (database.doc_count, database.doc_del_count)
    else:
        database, counts = await sql.scan(partial(reader.counted, db_name=db_name, visible=visible))
    return _description(database, counts, permit)


def _description(
    database: DatabaseRow, counts: tuple[int, int], permit: Permit
) -> Mapping[str, Any]:
    docs, deleted = counts if permit.read else (0, 0)
    size = database.body_size if permit.read and permit.selectors is None else 0
    update_seq = sequence.format(database.update_seq, database.epoch) if permit.read else "0"
    purge_seq = sequence.format(database.purge_seq, database.epoch) if permit.read else "0"
    return {
        "instance_start_time": "0",
        "db_name": database.name,
        "purge_seq": purge_seq,
        "update_seq": update_seq,
        "sizes": {"file": size, "external": size, "active": size},
        # The owner's other devices leave such a database alone.
        "props": {"local_only": True} if database.local_only and permit.is_owner else {},
        "doc_del_count": deleted,
        "doc_count": docs,
        "disk_format_version": 8,
        "compact_running": False,
        "cluster": {"q": 1, "n": 1, "w": 1, "r": 1},
    }
