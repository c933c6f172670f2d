"""Documents in the order of their ids: `_all_docs`, `_design_docs`, `_local_docs`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.http.response import HttpResponseBase

from acl import sql
from couchapi import listing, parsers, renderers
from couchapi.core.params import AllDocsQuery
from couchapi.endpoints.base import OWNER, READ, Endpoint, visible_to
from couchapi.listing import Listing
from couchapi.store import local_documents

DESIGN = ("_design/", "_design0")


class AllDocs(Endpoint):
    """`/db/_all_docs`."""

    rights = {"GET": READ, "POST": READ}
    within: tuple[str, str] | None = None

    async def get(self, request: Any, db_name: str) -> HttpResponseBase:
        """List documents by the parameters of the URL."""
        return await self._list(request, db_name, AllDocsQuery.from_query(request.GET))

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """List documents by the parameters of the body."""
        parsers.require_json(request)
        body = await parsers.json_object_or_empty(request)
        return await self._list(request, db_name, AllDocsQuery.from_body(body, request.GET))

    async def _list(self, request: Any, db_name: str, query: AllDocsQuery) -> HttpResponseBase:
        one = Listing(db_name, query, visible_to(request), self.within)
        head = await sql.scan(partial(listing.head, one))
        return renderers.stream(listing.text(one, head))


class AllDocsQueries(Endpoint):
    """`POST /db/_all_docs/queries`: several listings at once."""

    rights = {"POST": READ}
    within: tuple[str, str] | None = None

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return the listings in the order of the questions."""
        parsers.require_json(request)
        asked = AllDocsQuery.many_from_body(await parsers.json_object(request))
        visible = visible_to(request)
        several = [Listing(db_name, query, visible, self.within) for query in asked]
        heads = [await sql.scan(partial(listing.head, one)) for one in several]
        return renderers.stream(listing.texts(several, heads))


class DesignDocs(AllDocs):
    """`/db/_design_docs`."""

    within = DESIGN


class DesignDocsQueries(AllDocsQueries):
    """`POST /db/_design_docs/queries`."""

    within = DESIGN


class LocalDocs(Endpoint):
    """`/db/_local_docs`: those of the owner."""

    rights = {"GET": OWNER, "POST": OWNER}

    async def get(self, request: Any, db_name: str) -> HttpResponseBase:
        """List local documents by the parameters of the URL."""
        return await self._list(db_name, AllDocsQuery.from_query(request.GET))

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """List local documents by the parameters of the body."""
        parsers.require_json(request)
        body = await parsers.json_object_or_empty(request)
        return await self._list(db_name, AllDocsQuery.from_body(body, request.GET))

    async def _list(self, db_name: str, query: AllDocsQuery) -> HttpResponseBase:
        kept = await sql.scan(partial(local_documents.everything, db_name=db_name, owner=""))
        named = {f"_local/{docid}": (rev, body) for docid, rev, body in kept}
        if query.keys is None:
            wanted: Sequence[str] = query.apply(sorted(named))
        else:
            wanted = [key for key in query.keys if isinstance(key, str)]
        rows = [listing.local_row(docid, named.get(docid), query.include_docs) for docid in wanted]
        return renderers.raw(
            b'{"total_rows":null,"offset":null,"rows":[\n' + b",\n".join(rows) + b"\n]}\n"
        )
