"""Multipart bodies: a document with its attachments in, documents with theirs out.

What the bytes look like is in core/multipart.py; here they meet the request, the store and the
answer.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import orjson
from django.conf import settings
from django.http.response import HttpResponseBase

from acl.core.errors import HubError
from couchapi import exceptions, parsers, renderers, uploads
from couchapi.core import incoming, multipart, packed
from couchapi.core.attached import Attached
from couchapi.core.errors import BadRequest, BodyTooLarge, NotFound
from couchapi.core.incoming import Uploaded
from couchapi.core.multipart import Document, DocumentParser, End, Outgoing
from couchapi.core.revid import RevId
from couchapi.reader import Opened, Outcome
from couchapi.store.contents import HELD
from couchapi.uploads import Upload

_DEFAULT_TYPE = "application/octet-stream"
_IN_MEMORY = 1024 * 1024
"""Bytes of small contents of one body that wait together in memory."""


async def receive(
    request: Any, content_type: str, uploader: str
) -> tuple[Any, dict[str, Uploaded]]:
    """Return the document of a multipart/related body and its attachments, which are stored.

    Raises BadRequest; nothing of a body that breaks off stays.
    """
    return await take(content_type, parsers.pieces(request), uploader)


async def take(
    content_type: str, body: AsyncIterator[bytes], uploader: str
) -> tuple[Any, dict[str, Uploaded]]:
    """Return the document of a multipart/related body that comes in pieces; see `receive`."""
    receiving = _Receiving(uploader)
    try:
        await receiving.read(DocumentParser(content_type), body)
    except BaseException:
        await receiving.discard()
        raise
    return receiving.document, receiving.uploaded


def accepted(request: Any) -> bool:
    """Tell whether the client asks for multipart where JSON is usual."""
    accept = request.header(b"accept") or ""
    return "multipart/mixed" in accept or "multipart/related" in accept


def related(opened: Opened, headers: Mapping[str, str]) -> HttpResponseBase:
    """Return a document followed by its attachments."""
    boundary = secrets.token_hex(16)
    length = multipart.related_length(boundary, opened.text, _outgoing(opened))
    return renderers.stream(
        pieces(boundary, opened),
        headers={**headers, "Content-Length": str(length)},
        content_type=multipart.related_type(boundary),
    )


def pieces(boundary: str, opened: Opened) -> AsyncIterator[bytes]:
    """Give the body of a document followed by its attachments."""
    return _sent(multipart.related(boundary, opened.text, _outgoing(opened)))


def mixed(opened: Sequence[Opened | RevId]) -> HttpResponseBase:
    """Return several revisions; one that is not here is a part that says so."""
    outer = secrets.token_hex(16)
    return renderers.stream(_mixed(outer, opened), content_type=multipart.mixed_type(outer))


def mixed_results(
    batches: AsyncIterator[list[tuple[Any, list[Outcome]]]],
) -> HttpResponseBase:
    """Return the results of `_bulk_get`: each part says which document and revision it is."""
    outer = secrets.token_hex(16)
    return renderers.stream(
        _mixed_results(outer, batches), content_type=multipart.mixed_type(outer)
    )


class _Receiving:
    """A multipart body while it is read."""

    def __init__(self, uploader: str) -> None:
        self.document: Any = None
        self.uploaded: dict[str, Uploaded] = {}
        self._uploader = uploader
        self._room = _IN_MEMORY
        self._upload: Upload | None = None
        self._current: multipart.Attachment | None = None
        self._check: packed.Check | None = None

    async def read(self, parser: DocumentParser, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            for event in parser.feed(piece):
                await self._take(event)
        parser.finish()

    async def discard(self) -> None:
        """Remove what is stored already."""
        if self._upload is not None:
            await self._upload.discard()
        await uploads.discard(list(self.uploaded.values()))

    async def _take(self, event: multipart.DocumentEvent) -> None:
        if isinstance(event, Document):
            self.document = event.value
        elif isinstance(event, multipart.Attachment):
            self._current = event
            length = _unpacked_length(event)
            self._check = None if length is None else packed.Check(length)
            self._upload = Upload(self._uploader, min(HELD, self._room))
        elif isinstance(event, End):
            await self._end()
        elif self._upload is not None:
            if self._check is not None:  # A little gzip may be much work.
                await asyncio.to_thread(self._check.feed, event)
            await self._upload.take(event)

    async def _end(self) -> None:
        if self._upload is None or self._current is None:
            return
        one, upload = self._current, self._upload
        if self._check is not None:
            self._check.end()
        content_type = one.member.get("content_type") or one.content_type or _DEFAULT_TYPE
        uploaded = await upload.end(
            incoming.check_content_type(one.name, content_type),
            incoming.check_revpos(one.name, one.member.get("revpos")),
            _unpacked_length(one),
        )
        self.uploaded[one.name] = uploaded
        self._room -= upload.held
        self._upload = self._current = None
        _check_digest(one, uploaded.digest)


def _check_digest(one: multipart.Attachment, digest: str) -> None:
    announced = one.member.get("digest")
    if isinstance(announced, str) and announced.startswith("md5-") and announced != digest:
        raise BadRequest(f"The content of the attachment '{one.name}' is not the announced one.")


def _unpacked_length(one: multipart.Attachment) -> int | None:
    """Return how long a content that comes packed says it is; None for one that is as it is."""
    length = one.member.get("length")
    if one.member.get("encoding") != "gzip" or type(length) is not int:
        return None
    if length > settings.HUB_MAX_BODY:
        raise BodyTooLarge
    return length


def _outgoing(opened: Opened) -> list[Outgoing]:
    return [
        Outgoing(name, one.content_type, one.stored_length, one.encoding, one)
        for name, one in opened.parts.items()
    ]


async def _mixed(outer: str, opened: Iterable[Opened | RevId]) -> AsyncIterator[bytes]:
    for one in opened:
        if isinstance(one, RevId):
            yield multipart.mixed_error(outer, orjson.dumps({"missing": str(one)}))
            continue
        inner = secrets.token_hex(16)
        async for piece in _sent(multipart.mixed_document(outer, inner, one.text, _outgoing(one))):
            yield piece
    yield multipart.mixed_end(outer)


async def _mixed_results(
    outer: str, batches: AsyncIterator[list[tuple[Any, list[Outcome]]]]
) -> AsyncIterator[bytes]:
    async for batch in batches:
        for asked, opened in batch:
            for one in opened:
                async for piece in _result(outer, asked.docid, one):
                    yield piece
    yield multipart.mixed_end(outer)


async def _result(outer: str, docid: str, one: Outcome) -> AsyncIterator[bytes]:
    if not isinstance(one, Opened):
        rev = str(one) if isinstance(one, RevId) else "undefined"
        why = one if isinstance(one, HubError) else NotFound()
        error = {"id": docid, "rev": rev, **exceptions.row(why)}
        yield multipart.mixed_error(outer, orjson.dumps(error))
        return
    fields = [("X-Doc-Id", docid), ("X-Rev-Id", one.rev)]
    inner = secrets.token_hex(16)
    sent = multipart.mixed_document(outer, inner, one.text, _outgoing(one), fields)
    async for piece in _sent(sent):
        yield piece


async def _sent(pieces: Iterable[bytes | Outgoing]) -> AsyncIterator[bytes]:
    """Read each attachment where it belongs between the other bytes."""
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        content: Attached = piece.content
        async for chunk in uploads.stored(content):
            yield chunk
