"""Mango: `_find`, `_explain`, `_index` (CouchDB docs, "api/database/find")."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
from django.http.response import HttpResponseBase

from acl import sql
from acl.core.errors import HubError
from couchapi import exceptions, finding, parsers, renderers, writing
from couchapi.core import mangoindex, mangoplan, revid
from couchapi.core.errors import BadRequest, NotFound
from couchapi.core.mangoindex import ALL_DOCS, Index
from couchapi.core.mangoquery import FindQuery
from couchapi.core.visibility import Visible
from couchapi.endpoints.base import READ, WRITE, Endpoint, visible_to
from couchapi.endpoints.documents import author_of
from couchapi.finding import Choice, Finding
from couchapi.store import databases, designs, documents
from couchapi.store.writes import Write

_NO_DESIGN: dict[str, Any] = {"language": mangoindex.LANGUAGE, "views": {}}


class Find(Endpoint):
    """`POST /db/_find`."""

    rights = {"POST": READ}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Send the documents that match a selector, while they are found."""
        query = await _query(request)
        run = await finding.find(db_name, query, visible_to(request))
        return renderers.stream(_text(run))


class Explain(Endpoint):
    """`POST /db/_explain`: how `_find` would answer, and why so."""

    rights = {"POST": READ}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return the index that is chosen, and what spoke against others."""
        query = await _query(request)
        run = await finding.find(db_name, query, visible_to(request))
        return renderers.json(_explained(db_name, query, run.choice))


class Indexes(Endpoint):
    """`/db/_index`."""

    rights = {"GET": READ, "POST": WRITE}

    async def get(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return the indexes."""
        visible = visible_to(request)
        found = await sql.scan(partial(_indexes, db_name=db_name, visible=visible))
        rows = [index.described() for index in (ALL_DOCS, *found)]
        return renderers.json({"total_rows": len(rows), "indexes": rows})

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Define an index; it is built when it is first used."""
        parsers.require_json(request)
        index = mangoindex.asked(await parsers.json_object(request))
        made = await _put(request, db_name, index)
        result = "created" if made else "exists"
        return renderers.json({"result": result, "id": index.ddoc, "name": index.name})


class OneIndex(Endpoint):
    """`/db/_index/_design/ddoc/json/name`."""

    rights = {"DELETE": WRITE}

    async def delete(self, request: Any, db_name: str, docid: str, name: str) -> HttpResponseBase:
        """Remove an index, and with the last one its design document."""
        await _remove(request, db_name, _docid(docid), name)
        return renderers.ok()


class BulkDelete(Endpoint):
    """`POST /db/_index/_bulk_delete`."""

    rights = {"POST": WRITE}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Remove all indexes of some design documents."""
        parsers.require_json(request)
        docids = (await parsers.json_object(request)).get("docids")
        if not isinstance(docids, list) or not all(isinstance(one, str) for one in docids):
            raise BadRequest("`docids` must be an array of design documents.")
        success, failed = [], []
        for docid in docids:
            try:
                await _remove(request, db_name, _docid(docid), None)
                success.append({"id": docid, "ok": True})
            except HubError as error:
                failed.append({"id": docid, **exceptions.row(error)})
        return renderers.json({"success": success, "fail": failed})


async def _query(request: Any) -> FindQuery:
    parsers.require_json(request)
    return FindQuery.from_body(await parsers.json_object(request))


async def _text(run: Finding) -> AsyncIterator[bytes]:
    separator = b'{"docs":[\n'
    async for texts in run.pages():
        if texts:
            yield separator + b",\n".join(texts)
            separator = b",\n"
    if not run.found:
        yield separator
    tail: dict[str, Any] = {"bookmark": run.bookmark()}
    if run.query.execution_stats:
        tail["execution_stats"] = run.stats()
    if run.choice.warning is not None:
        tail["warning"] = run.choice.warning
    yield b"\n],\n" + orjson.dumps(tail)[1:] + b"\n"


def _explained(db_name: str, query: FindQuery, choice: Choice) -> dict[str, Any]:
    others = [one for one in choice.judged if one.index != choice.index]
    return {
        "dbname": db_name,
        "index": choice.index.described(),
        "partitioned": False,
        "selector": mangoplan.normalized(query.selector),
        "opts": query.options(),
        "limit": query.limit,
        "skip": query.skip,
        "fields": list(query.fields) or "all_fields",
        "covering": False,
        "index_candidates": [
            {
                "index": one.index.described(),
                "analysis": {
                    "usable": not one.reasons,
                    "reasons": [{"name": reason} for reason in one.reasons or ("less_overlap",)],
                    "ranking": place,
                    "covering": False,
                },
            }
            for place, one in enumerate(sorted(others, key=lambda one: one.rank), 1)
        ],
    }


def _indexes(connection: sql.Sql, db_name: str, visible: Visible | None) -> list[Index]:
    database = databases.get(connection, db_name)
    return designs.mango_indexes(connection, database.id, visible)


async def _put(request: Any, db_name: str, index: Index) -> bool:
    """Write the index into its design document; return False where it is there already."""
    assert index.ddoc is not None
    rev, design = await sql.point(partial(_design, db_name=db_name, docid=index.ddoc))
    if design["language"] != mangoindex.LANGUAGE:
        raise BadRequest(f"{index.ddoc} holds views of its own. Choose another design document.")
    if index in mangoindex.of_design(index.ddoc, design):
        return False
    design["views"][index.name] = index.view()
    await _write(request, db_name, index.ddoc, rev, design)
    return True


async def _remove(request: Any, db_name: str, docid: str, name: str | None) -> None:
    rev, design = await sql.point(partial(_design, db_name=db_name, docid=docid))
    views = design["views"]
    known = {index.name for index in mangoindex.of_design(docid, design)}
    if rev is None or not known or (name is not None and name not in known):
        raise NotFound("missing")
    design["views"] = {} if name is None else {k: v for k, v in views.items() if k != name}
    await _write(request, db_name, docid, rev, design if design["views"] else None)


async def _write(
    request: Any, db_name: str, docid: str, rev: str | None, design: dict[str, Any] | None
) -> None:
    base = revid.parse(rev) if rev else None
    body = b"{}" if design is None else orjson.dumps(design)
    one = Write(docid, base, design is None, body)
    ((_, result),) = await writing.store(db_name, [one], author_of(request))
    if isinstance(result, HubError):
        raise result


def _design(connection: sql.Sql, db_name: str, docid: str) -> tuple[str | None, dict[str, Any]]:
    """Return the revision and the content of a design document, of a new one where there is none.

    Raises DatabaseMissing.
    """
    database = databases.get(connection, db_name)
    found = documents.find_many(connection, database.id, [docid]).get(docid)
    if found is None or found.deleted:
        return None, {**_NO_DESIGN, "views": {}}
    design = orjson.loads(found.body)
    views = design.get("views")
    language = design.get("language", "javascript")
    return found.rev, {
        **design,
        "language": language,
        "views": dict(views) if isinstance(views, dict) else {},
    }


def _docid(name: str) -> str:
    return "_design/" + name.removeprefix("_design/")
