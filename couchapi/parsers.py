"""Reading request bodies: in pieces, unpacked where they come gzipped, never beyond a limit.

The handler asks for the body after the guards have let it in; until then not a byte of it is
read.  A gzip bomb is counted as it unpacks (design/couch-api.md, "gzip request bodies").
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Any

from django.conf import settings

from couchapi.core import docjson
from couchapi.core.errors import BadContentType, BadRequest, BodyTooLarge

SECONDS_TRUSTED = 4.0
"""How long an answer about the caller's rights is relied on."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_UNPACKED_AT_ONCE = 256 * 1024


async def pieces(request: Any, limit: int | None = None) -> AsyncIterator[bytes]:
    """Give the body as it comes, unpacked; raises BodyTooLarge past `limit` bytes.

    A client may take hours to send it: then it is asked again whether the client may.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    encoding = (request.header(b"content-encoding") or "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise BadContentType(f"Content-Encoding {encoding} is not known. Send gzip or none.")
    source = request.aiter_body()
    async for piece in _gunzip(source) if encoding == "gzip" else source:
        if limit is not None:
            limit -= len(piece)
            if limit < 0:
                raise BodyTooLarge
        yield piece
    if clock() - began > SECONDS_TRUSTED:
        await request.admit_again()


async def whole(request: Any) -> bytes:
    """Return the whole body, of at most `HUB_MAX_JSON` bytes."""
    return b"".join([piece async for piece in pieces(request, settings.HUB_MAX_JSON)])


async def document(request: Any) -> Any:
    """Return the JSON value of a body that is a document, numbers kept as they were sent."""
    return docjson.parse(await whole(request))


async def documents(request: Any) -> Any:
    """Return the JSON value of a body that holds documents in an array, numbers kept as sent."""
    return docjson.parse_batch(await whole(request))


async def json_object(request: Any) -> dict[str, Any]:
    """Return the JSON object of a body that holds a question; raises BadRequest."""
    return docjson.parse_object(await whole(request))


async def json_object_or_empty(request: Any) -> dict[str, Any]:
    """Return the JSON object of a body that may be left out."""
    text = await whole(request)
    return docjson.parse_object(text) if text.strip() else {}


def require_json(request: Any) -> None:
    """Raise BadContentType unless the request says that its body is JSON.

    A page of another site can send a form without asking first, but not this type.
    """
    kind = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadContentType


async def _gunzip(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    async for piece in source:
        while piece:
            try:
                unpacked = unpacker.decompress(piece, _UNPACKED_AT_ONCE)
            except zlib.error as error:
                raise BadRequest("The body is not valid gzip.") from error
            yield unpacked
            piece = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise BadRequest("The gzipped body ends too early.")
