"""One document: PUT, GET, HEAD, DELETE, COPY (CouchDB docs, "api/document/common")."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase

from acl import sql
from acl.core.errors import HubError
from couchapi import parsers, reader, renderers, uploads, writing
from couchapi.core import docjson, etags, incoming, names, revid
from couchapi.core.docjson import Parts
from couchapi.core.errors import BadRequest
from couchapi.core.incoming import Uploaded
from couchapi.core.params import DocumentQuery
from couchapi.core.revid import RevId
from couchapi.endpoints import multiparts
from couchapi.endpoints.base import READ, WRITE, Endpoint, visible_to
from couchapi.reader import Form, Opened
from couchapi.store.writes import Author, Write


class Document(Endpoint):
    """`/db/docid`."""

    rights = {"GET": READ, "PUT": WRITE, "DELETE": WRITE, "COPY": (READ, WRITE)}

    async def get(self, request: Any, db_name: str, docid: str) -> HttpResponseBase:
        """Return the winner, one revision, or with `open_revs` several."""
        names.check_docid(docid)
        query = DocumentQuery.from_query(request.GET)
        if query.open_revs is not None:
            return await _open_revs(request, db_name, docid, query)
        as_parts = query.attachments and not accepts_json(request)
        opened = await _open(request, db_name, docid, query, form_of(query, follows=as_parts))
        headers = {"ETag": etags.of_rev(opened.rev)} if query.has_etag else {}
        if headers and etags.matches(request.header(b"if-none-match"), headers["ETag"]):
            return renderers.not_modified(headers)
        if opened.parts:
            return multiparts.related(opened, headers)
        return renderers.raw(opened.text + b"\n", headers=headers)

    async def put(self, request: Any, db_name: str, docid: str) -> HttpResponseBase:
        """Write the document; its attachments may follow it in a multipart body."""
        query = DocumentQuery.from_query(request.GET)
        names.check_docid(docid)
        document, uploaded = await _received(request)
        async with uploads.adopting(list(uploaded.values())):
            parts = docjson.split(document, docid, max_document=settings.HUB_MAX_DOCUMENT)
            asked = asked_rev(request, query, parts.rev)
            one = write_of(parts, docid, asked, query.new_edits, uploaded)
            return await _saved(request, db_name, one, query)

    async def delete(self, request: Any, db_name: str, docid: str) -> HttpResponseBase:
        """Write a tombstone."""
        query = DocumentQuery.from_query(request.GET)
        names.check_docid(docid)
        asked = asked_rev(request, query)
        one = Write(docid, revid.parse(asked) if asked else None, True, b"{}")
        return await _saved(request, db_name, one, query, status=200)

    async def copy(self, request: Any, db_name: str, docid: str) -> HttpResponseBase:
        """Write the document under the id that the Destination header names."""
        query = DocumentQuery.from_query(request.GET)
        target, target_rev = _destination(request.header(b"destination"))
        source = await _open(request, db_name, docid, query, Form(inline=True))
        parts = docjson.split(docjson.parse(source.text))
        base = revid.parse(target_rev) if target_rev else None
        attachments = incoming.read(parts.attachments or {})
        one = Write(target, base, False, parts.body, attachments=attachments)
        return await _saved(request, db_name, one, query)


async def create(request: Any, db_name: str) -> HttpResponseBase:
    """Write a document whose id may be ours to choose (`POST /db`)."""
    parsers.require_json(request)
    query = DocumentQuery.from_query(request.GET)
    parts = docjson.split(await parsers.document(request), max_document=settings.HUB_MAX_DOCUMENT)
    docid = parts.docid or uuid.uuid4().hex
    return await _saved(request, db_name, write_of(parts, docid, parts.rev, query.new_edits), query)


def write_of(
    parts: Parts,
    docid: str,
    rev: str | None,
    new_edits: bool,
    uploaded: dict[str, Uploaded] | None = None,
) -> Write:
    """Return what a document that was sent asks to be written.

    Raises BadRequest for a revision made elsewhere that does not say which it is.
    """
    if names.is_local(docid):  # Its revisions are only counted, and never checked.
        return Write(docid, None, parts.deleted, parts.body)
    attachments = incoming.read(parts.attachments, uploaded) if parts.attachments else None
    if new_edits:
        base = revid.parse(rev) if rev else None
        return Write(docid, base, parts.deleted, parts.body, None, attachments)
    return Write(docid, None, parts.deleted, parts.body, _path(parts, rev), attachments)


def _path(parts: Parts, rev: str | None) -> Sequence[RevId]:
    if parts.revisions:
        return parts.revisions
    if rev:
        return (revid.parse(rev),)
    raise BadRequest("When `new_edits: false`, the document needs `_rev` or `_revisions` specified")


def author_of(request: Any) -> Author:
    """Return who writes."""
    return Author(
        key=request.caller.key or "",
        is_owner=request.permit.is_owner,
        may_read=request.permit.read,
        visible=visible_to(request),
        groups=request.permit.groups,
        is_client=True,
    )


def accepts_json(request: Any) -> bool:
    """Tell whether the client would rather have JSON than multipart."""
    return "application/json" in (request.header(b"accept") or "")


def form_of(query: DocumentQuery, *, follows: bool = False) -> Form:
    """Return how the client wants attachments; `follows` where the answer is multipart."""
    since = tuple(revid.parse(rev) for rev in query.atts_since or ())
    wants_content = query.attachments or query.atts_since is not None
    return Form(
        inline=wants_content and not follows,
        follows=wants_content and follows,
        since=since,
        encoding_info=query.att_encoding_info,
    )


async def _open(request: Any, db_name: str, docid: str, query: DocumentQuery, form: Form) -> Opened:
    visible = visible_to(request)
    # Contents that stand inside a document may be large.
    read = sql.scan if form.inline else sql.point
    if query.rev is None:
        return await read(
            partial(
                reader.winner,
                db_name=db_name,
                docid=docid,
                wanted=query,
                form=form,
                visible=visible,
            )
        )
    rev = revid.parse(query.rev)
    return await read(
        lambda connection: reader.revision(
            connection, db_name, docid, rev, query, form, visible, latest=query.latest
        )
    )


async def _open_revs(
    request: Any, db_name: str, docid: str, query: DocumentQuery
) -> HttpResponseBase:
    as_json = accepts_json(request)
    asked = (
        None if query.open_revs == "all" else [revid.parse(rev) for rev in query.open_revs or ()]
    )
    visible = visible_to(request)
    opened = await sql.scan(
        lambda connection: reader.revisions(
            connection,
            db_name,
            docid,
            asked,
            query,
            form_of(query, follows=not as_json),
            visible,
            latest=query.latest,
        )
    )
    if not as_json:
        return multiparts.mixed(opened)
    rows = [
        b'{"missing":"%s"}' % str(one).encode()
        if isinstance(one, RevId)
        else b'{"ok":%s}' % one.text
        for one in opened
    ]
    return renderers.raw(b"[" + b",".join(rows) + b"]\n")


async def _received(request: Any) -> tuple[Any, dict[str, Uploaded]]:
    kind = request.header(b"content-type") or ""
    if kind.lower().startswith("multipart/related"):
        return await multiparts.receive(request, kind, author_of(request).key)
    return await parsers.document(request), {}


def asked_rev(request: Any, query: DocumentQuery, from_body: str | None = None) -> str | None:
    """Return the revision that a write builds on: of the query, If-Match, or the body."""
    if_match = etags.single(request.header(b"if-match"))
    given = {rev for rev in (query.rev, if_match, from_body) if rev is not None}
    if len(given) > 1:
        raise BadRequest("Document rev from request body and query string have different values")
    return given.pop() if given else None


def _destination(header: str | None) -> tuple[str, str | None]:
    if not header:
        raise BadRequest("Destination header is mandatory for COPY.")
    target, _, query = header.partition("?")
    rev = query.removeprefix("rev=") if query.startswith("rev=") else None
    return names.check_docid(names.decode(target.encode("latin-1"))), rev


async def _saved(
    request: Any, db_name: str, one: Write, query: DocumentQuery, status: int = 201
) -> HttpResponseBase:
    ((_, result),) = await writing.store(db_name, [one], author_of(request))
    if isinstance(result, HubError):
        raise result
    if query.batch:
        return renderers.json({"ok": True, "id": one.docid}, 202)
    answer = {"ok": True, "id": one.docid, "rev": str(result)}
    headers = {"ETag": etags.of_rev(str(result))}
    return renderers.json(answer, status, headers)
