"""What feeds send: their pages as one JSON object, as a line each, or as server-sent events.

Each closes the pages that it reads when its own reader leaves, so that nobody waits for a client
that is gone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import orjson

from couchapi.core.errors import CouchError
from couchapi.feeds import HEARTBEAT, Page

Pages = AsyncGenerator[Page, None]
End = Callable[[int, int], bytes]
"""Returns the members that end a feed, of (last sequence number, how many rows may follow)."""


async def listed(pages: Pages, since: int, end: End) -> AsyncIterator[bytes]:
    """Give one object; what comes while it is open are newlines, which JSON ignores."""
    yield b'{"results":[\n'
    separator, last, pending = b"", since, 0
    async with aclosing(pages):
        try:
            async for page in pages:
                if page is HEARTBEAT:
                    yield b"\n"
                    continue
                last, pending = page.last, page.pending
                if page.rows:
                    yield separator + b",\n".join(page.rows)
                    separator = b",\n"
        except CouchError as error:
            yield _failed(error)
            return
    yield b"\n],\n%s}\n" % end(last, pending)


async def lines(pages: Pages, since: int, end: End) -> AsyncIterator[bytes]:
    """Give a line for each row, and one that says where the feed ended."""
    yield b""
    last, pending = since, 0
    async with aclosing(pages):
        try:
            async for page in pages:
                if page is HEARTBEAT:
                    yield b"\n"
                    continue
                last, pending = page.last, page.pending
                if page.rows:
                    yield b"\n".join(page.rows) + b"\n"
        except CouchError as error:
            yield _failed(error)
            return
    yield b"{%s}\n" % end(last, pending)


async def events(pages: Pages) -> AsyncIterator[bytes]:
    """Give an event for each row (CouchDB docs, "api/database/changes", "Event Source")."""
    yield b""
    async with aclosing(pages):
        try:
            async for page in pages:
                if page is HEARTBEAT:
                    yield b"event: heartbeat\ndata: \n\n"
                elif page.rows:
                    yield b"".join([_event(row) for row in page.rows])
        except CouchError as error:
            yield b"event: error\ndata:" + _failed(error).strip() + b"\n\n"


def _failed(error: CouchError) -> bytes:
    """Return what stands where an answer breaks off: after it, no reader takes it for whole."""
    return b"\n%s\n" % orjson.dumps({"error": error.word, "reason": error.reason})


def _event(row: bytes) -> bytes:
    seq = orjson.loads(row)["seq"]
    # `seq_interval` leaves numbers out; the browser then keeps the id of the event before.
    number = b"" if seq is None else b"id: %s\n" % str(seq).encode()
    return b"data: %s\n%s\n" % (row, number)
