"""One attachment: `/db/docid/name` (CouchDB docs, "api/document/attachments")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from acl import sql
from acl.core.errors import HubError
from couchapi import parsers, reader, renderers, uploads, writing
from couchapi.core import attached, etags, incoming, names, ranges, revid
from couchapi.core.attached import Attached
from couchapi.core.errors import NotFound, RangeNotSatisfiable
from couchapi.core.incoming import Uploaded
from couchapi.core.params import DocumentQuery
from couchapi.core.revid import RevId
from couchapi.core.visibility import Visible
from couchapi.endpoints.base import READ, WRITE, Endpoint, visible_to
from couchapi.endpoints.documents import asked_rev, author_of
from couchapi.store import documents
from couchapi.uploads import plain, stored

_DEFAULT_TYPE = "application/octet-stream"
# What a browser would run as a page of this hub's origin.
_ACTIVE = ("html", "svg", "xml")


class Attachment(Endpoint):
    """`/db/docid/name`."""

    rights = {"GET": READ, "PUT": WRITE, "DELETE": WRITE}

    async def get(self, request: Any, db_name: str, docid: str, name: str) -> HttpResponseBase:
        """Send the content, or the range of it that is asked for."""
        query = DocumentQuery.from_query(request.GET)
        rev = revid.parse(query.rev) if query.rev else None
        visible = visible_to(request)
        one = await sql.point(
            lambda connection: _find(connection, db_name, docid, name, rev, visible)
        )
        headers = _headers(one)
        if etags.matches(request.header(b"if-none-match"), headers["ETag"]):
            return renderers.not_modified({"ETag": headers["ETag"]})
        await uploads.check(one)
        return _content(request, one, headers)

    async def put(self, request: Any, db_name: str, docid: str, name: str) -> HttpResponseBase:
        """Attach the body to the document, as a new revision of it."""
        names.check_docid(docid)
        names.check_attachment_name(name)
        query = DocumentQuery.from_query(request.GET)
        base = asked_rev(request, query)
        given = request.header(b"content-type") or _DEFAULT_TYPE
        content_type = incoming.check_content_type(name, given)
        author = author_of(request)
        pieces = parsers.pieces(request)
        uploaded = await uploads.receive(pieces, author.key, content_type)
        async with uploads.adopting([uploaded]):
            return await _attached(request, db_name, docid, base, name, uploaded)

    async def delete(self, request: Any, db_name: str, docid: str, name: str) -> HttpResponseBase:
        """Write a revision of the document without this attachment."""
        names.check_docid(docid)
        query = DocumentQuery.from_query(request.GET)
        base = asked_rev(request, query)
        return await _attached(request, db_name, docid, base, name, None, status=200)


def _find(
    connection: sql.Sql,
    db_name: str,
    docid: str,
    name: str,
    rev: RevId | None,
    visible: Visible | None,
) -> Attached:
    found = reader.find_visible(connection, db_name, docid, visible)
    if rev is None and found.deleted:
        raise NotFound("deleted")
    held = found.attachments
    if rev is not None and str(rev) != found.rev:
        body = documents.bodies(connection, found.id, [str(rev)]).get(str(rev))
        if body is None or (visible is not None and not visible(docid, body.rev, body.body)):
            raise NotFound
        held = body.attachments
    one = attached.decode(held).get(name)
    if one is None:
        raise NotFound("Document is missing attachment")
    return one


def _headers(one: Attached) -> dict[str, str]:
    headers = {
        "ETag": etags.of_digest(one.digest),
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    if any(word in one.content_type.lower() for word in _ACTIVE):
        headers["Content-Disposition"] = "attachment"
    return headers


def _content(request: Any, one: Attached, headers: Mapping[str, str]) -> HttpResponseBase:
    if one.encoding is not None:
        return _packed_content(request, one, headers)
    try:
        part = ranges.parse(request.header(b"range"), one.length)
    except RangeNotSatisfiable:
        return _unsatisfied(one)
    length = one.length if part is None else part.length
    more = {"Accept-Ranges": "bytes", "Content-Length": str(length)}
    if part is not None:
        more["Content-Range"] = part.content_range
    return renderers.stream(
        stored(one, part),
        200 if part is None else 206,
        {**headers, **more},
        content_type=one.content_type,
    )


def _packed_content(request: Any, one: Attached, headers: Mapping[str, str]) -> HttpResponseBase:
    """Send a content that is stored compressed; it has no ranges (design/couch-api.md)."""
    headers = {**headers, "Accept-Ranges": "none", "Vary": "Accept-Encoding"}
    if "gzip" in (request.header(b"accept-encoding") or "") and one.encoding == "gzip":
        more = {"Content-Encoding": "gzip", "Content-Length": str(one.stored_length)}
        return renderers.stream(stored(one), 200, {**headers, **more}, one.content_type)
    more = {"Content-Length": str(one.length)}
    return renderers.stream(plain(one), 200, {**headers, **more}, one.content_type)


def _unsatisfied(one: Attached) -> HttpResponse:
    error = {"error": RangeNotSatisfiable.word, "reason": RangeNotSatisfiable.reason}
    return renderers.json(error, 416, {"Content-Range": ranges.unsatisfied(one.length)})


async def _attached(
    request: Any,
    db_name: str,
    docid: str,
    base: str | None,
    name: str,
    uploaded: Uploaded | None,
    status: int = 201,
) -> HttpResponseBase:
    parent = revid.parse(base) if base else None
    author = author_of(request)
    result = await writing.attach(db_name, docid, parent, name, uploaded, author)
    if isinstance(result, HubError):
        raise result
    answer = {"ok": True, "id": docid, "rev": str(result)}
    return renderers.json(answer, status, {"ETag": etags.of_rev(str(result))})
