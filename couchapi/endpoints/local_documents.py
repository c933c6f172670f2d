"""`_local/<id>`: documents that are not replicated, such as checkpoints."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase

from acl import sql
from couchapi import parsers, renderers
from couchapi.core import docjson, names
from couchapi.endpoints.base import EITHER, Endpoint
from couchapi.store import local_documents


class LocalDocument(Endpoint):
    """`/db/_local/id`: each principal has a namespace of its own."""

    rights = {"GET": EITHER, "PUT": EITHER, "DELETE": EITHER}

    async def get(self, request: Any, db_name: str, docid: str) -> HttpResponseBase:
        """Return the document."""
        owner, name = _owner(request), _name(docid)
        rev, body = await sql.point(
            lambda connection: local_documents.read(connection, db_name, owner, name)
        )
        return renderers.raw(docjson.splice(f"_local/{name}", f"0-{rev}", body) + b"\n")

    async def put(self, request: Any, db_name: str, docid: str) -> HttpResponseBase:
        """Store the document; there is no conflict check."""
        owner, name = _owner(request), _name(docid)
        parts = docjson.split(
            await parsers.document(request),
            f"_local/{name}",
            max_document=settings.HUB_MAX_DOCUMENT,
        )
        if parts.deleted:
            return await self.delete(request, db_name, docid)
        rev = await sql.write(
            lambda connection: local_documents.write(connection, db_name, owner, name, parts.body)
        )
        return renderers.json({"ok": True, "id": f"_local/{name}", "rev": f"0-{rev}"}, 201)

    async def delete(self, request: Any, db_name: str, docid: str) -> HttpResponseBase:
        """Delete the document."""
        owner, name = _owner(request), _name(docid)
        await sql.write(lambda connection: local_documents.delete(connection, db_name, owner, name))
        return renderers.json({"ok": True, "id": f"_local/{name}", "rev": "0-0"})


def _owner(request: Any) -> str:
    return local_documents.namespace(request.caller.key or "", request.permit.is_owner)


def _name(docid: str) -> str:
    return names.check_docid(docid).partition("/")[2]
