"""Pages of the admin about queries: indexes and how far they are built, Mango, views.

They act through the same functions as the API, as the owner, who sees everything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import orjson
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from acl import sql
from acl.core.errors import HubError
from couchapi import finding, indexer
from couchapi.core import docjson, mangoindex
from couchapi.core.mangoquery import FindQuery
from couchapi.core.viewparams import ViewQuery
from couchapi.store import databases, designs
from couchapi.store.databases import DatabaseRow
from couchapi.store.designs import Built
from couchapi.viewreader import groups, opening, rows
from couchapi.viewreader.rows import RowsQuery

_ROWS = 25
_SHOWN = 2000
"""Letters of a document or value that a table shows."""

_EXAMPLE = """{
  "_id": {"$gt": null}
}"""


def indexes(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show the views and indexes of a database, and build one on request."""
    database = _database(pk)
    if request.method == "POST":
        async_to_sync(_begin)(database, request.POST.get("design", ""), request.POST.get("name"))
        return redirect("admin:couchapi_database_indexes", pk)
    found = sql.read_sync(partial(designs.built, database_id=pk))
    shown = [_described(database, one) for one in found]
    building = any(one["is_building"] for one in shown)
    return _page(
        request, "indexes", _("Views and indexes"), database, rows=shown, building=building
    )


def query(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Find documents by a Mango selector."""
    database = _database(pk)
    asked = {
        "selector": request.GET.get("selector", _EXAMPLE),
        "fields": request.GET.get("fields", ""),
        "sort": request.GET.get("sort", ""),
        "bookmark": request.GET.get("bookmark", "nil"),
    }
    result: dict[str, Any] = {}
    if "selector" in request.GET:
        result = _tried(lambda: async_to_sync(_find)(database, asked))
    return _page(request, "query", _("Find documents"), database, asked=asked, **result)


def view(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show the rows of a view, or what they reduce to."""
    database = _database(pk)
    docid, name = request.GET.get("design", ""), request.GET.get("view", "")
    skip = _number(request.GET.get("skip"))
    asked = {
        "startkey": request.GET.get("startkey", ""),
        "endkey": request.GET.get("endkey", ""),
        "reduce": request.GET.get("reduce") == "on",
        "descending": request.GET.get("descending") == "on",
    }
    result = _tried(lambda: async_to_sync(_rows)(database, docid, name, asked, skip))
    title = f"{docid.removeprefix('_design/')}/{name}"
    return _page(
        request,
        "view",
        title,
        database,
        asked=asked,
        design=docid,
        view=name,
        skip=skip,
        before=max(0, skip - _ROWS),
        after=skip + _ROWS,
        **result,
    )


def _database(pk: int) -> DatabaseRow:
    found = sql.read_sync(partial(databases.by_id, database_id=pk))
    if found is None:
        raise Http404
    return found


def _page(
    request: HttpRequest, name: str, title: str, database: DatabaseRow, **more: Any
) -> TemplateResponse:
    context = {**admin.site.each_context(request), "title": title, "database": database, **more}
    return TemplateResponse(request, f"couchapi/{name}.html", context)


def _tried(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what the work gives, or the sentence that says why it was refused."""
    try:
        return work()
    except HubError as error:
        return {"error": error.reason}


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else 0


def _described(database: DatabaseRow, one: Built) -> dict[str, Any]:
    state = one.state
    seq = 0 if state is None else state.seq
    error = orjson.loads(state.last_error) if state is not None and state.last_error else None
    return {
        "docid": one.docid,
        "title": one.docid.removeprefix("_design/"),
        "is_mango": one.language == mangoindex.LANGUAGE,
        "names": one.names,
        "seq": seq,
        "update_seq": database.update_seq,
        "lag": max(0, database.update_seq - seq),
        "size": 0 if state is None else state.size,
        "is_building": state is not None and indexer.is_building(state),
        "error": error,
    }


async def _begin(database: DatabaseRow, docid: str, name: str | None) -> None:
    """Begin to build the index of a design document's views, or one of its Mango indexes."""
    try:
        if name:
            known = await sql.scan(partial(designs.mango_indexes, database_id=database.id))
            chosen = next((i for i in known if (i.ddoc, i.name) == (docid, name)), None)
            if chosen is not None:
                await finding.begin(database, chosen)
            return
        found = await sql.scan(partial(opening.design, db_name=database.name, docid=docid))
        first = next(iter(found.group.views), None)
        if first is not None:
            await opening.open_view(database.name, docid, first, ViewQuery(update="lazy"))
    except HubError:
        return  # It was removed meanwhile: the page shows what is there now.


async def _find(database: DatabaseRow, asked: Mapping[str, str]) -> dict[str, Any]:
    body = {
        "selector": docjson.parse_object(asked["selector"].encode()),
        "limit": _ROWS,
        "bookmark": asked["bookmark"],
        "fields": asked["fields"].split() or None,
        "sort": docjson.parse_plain(asked["sort"].encode()) if asked["sort"].strip() else [],
    }
    run = await finding.find(database.name, FindQuery.from_body(body), None)
    texts = [text async for page in run.pages() for text in page]
    return {
        "found": [_shown(text) for text in texts],
        "index": run.choice.index,
        "warning": run.choice.warning,
        "stats": run.stats(),
        "next": run.bookmark() if len(texts) == _ROWS else None,
    }


async def _rows(
    database: DatabaseRow, docid: str, name: str, asked: Mapping[str, Any], skip: int
) -> dict[str, Any]:
    params = {"skip": str(skip), "limit": str(_ROWS)}
    params |= {key: asked[key] for key in ("startkey", "endkey") if asked[key].strip()}
    params |= {"descending": "true"} if asked["descending"] else {}
    found = await sql.scan(partial(opening.design, db_name=database.name, docid=docid))
    reduces = found.group.view(name).reduce is not None
    if reduces:
        params |= {"group": "true"} if asked["reduce"] else {"reduce": "false"}
    opened, checked = await opening.open_view(
        database.name, docid, name, ViewQuery.from_query(params)
    )
    asked_rows = RowsQuery(opened, checked, None)
    answer = orjson.loads(
        await _whole(groups.text(asked_rows) if checked.reduce else rows.text(asked_rows))
    )
    return {
        "reduces": reduces,
        "found": [_row(row) for row in answer["rows"]],
        "total": answer.get("total_rows"),
        "is_last": len(answer["rows"]) < _ROWS,
    }


async def _whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    key, value = (_cut(orjson.dumps(row[name]).decode()) for name in ("key", "value"))
    return {"key": key, "value": value, "id": row.get("id", "")}


def _shown(text: bytes) -> dict[str, str]:
    document = orjson.loads(text)
    pretty = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    return {"id": str(document.get("_id", "")), "text": _cut(pretty)}


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
