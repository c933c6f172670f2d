"""Contents on their way in and out: a piece at a time, never whole, and never on the event loop.

A small content stays in memory until its document is written.  A larger one gets a blob when it
has become so; while one batch of its bytes is hashed and written by a thread, the next comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TypeVar

from acl import sql
from couchapi.core import attached
from couchapi.core.attached import Attached
from couchapi.core.incoming import Inline, Uploaded
from couchapi.core.ranges import ByteRange
from couchapi.store import attachments, contents, space
from couchapi.store.contents import AT_ONCE, HELD, Blob
from couchapi.store.writes import Write

T = TypeVar("T")
_pool = ThreadPoolExecutor(4, thread_name_prefix="contents")


class Upload:
    """A content that is being received; up to `held` bytes it needs no blob."""

    def __init__(self, uploader: str, held: int = HELD) -> None:
        self.length = 0
        self._uploader = uploader
        self._held = held
        self._blob: Blob | None = None
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._running: asyncio.Future[None] | None = None

    @property
    def held(self) -> int:
        """Bytes that stay in memory until the document is written."""
        return 0 if self._blob else self.length

    async def take(self, piece: bytes) -> None:
        """Take the next bytes; raises StorageFull."""
        self.length += len(piece)
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting >= AT_ONCE or (self._blob is None and self.length > self._held):
            await self._send()

    async def end(
        self, content_type: str, revpos: int | None = None, unpacked: int | None = None
    ) -> Uploaded:
        """Return the content, which is durable now or waits in memory; raises StorageFull.

        `unpacked` is the length of a content that came as gzip.
        """
        if self._blob is not None:
            await self._send(last=True)
            await self._settled()
        return Uploaded(
            self._blob.id if self._blob else self._in_memory(),
            content_type,
            attached.digest_text(self._md5.digest()),
            self.length if unpacked is None else unpacked,
            revpos,
            None if unpacked is None else "gzip",
            None if unpacked is None else self.length,
        )

    async def discard(self) -> None:
        """Remove what has come: nobody knows of it yet."""
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)
        if self._blob is not None:
            await _remove([self._blob])

    async def _send(self, *, last: bool = False) -> None:
        """Let a thread write what has come, when it has written what came before."""
        if self._blob is None:
            await space.require()
            now = int(time.time())
            new_blob = partial(attachments.new_blob, uploader=self._uploader, now=now)
            self._blob = await sql.write(new_blob)
        await self._settled()
        pieces, position = self._pieces, self.length - self._waiting
        self._pieces, self._waiting = [], 0
        self._running = _in_thread(partial(self._store, self._blob, position, pieces, last))

    async def _settled(self) -> None:
        # A request that is cancelled must not leave a thread behind that still writes.
        if self._running is not None:
            await asyncio.shield(self._running)

    def _store(self, blob: Blob, position: int, pieces: Sequence[bytes], last: bool) -> None:
        # One long piece: each call that lets go of Python's lock has to get it back.
        batch = b"".join(pieces)
        content = contents.of(blob)
        content.append(position, batch)
        self._md5.update(batch)
        if last:
            content.finish()

    def _in_memory(self) -> bytes:
        content = b"".join(self._pieces)
        self._md5.update(content)
        return content


async def receive(
    pieces: AsyncIterator[bytes], uploader: str, content_type: str, revpos: int | None = None
) -> Uploaded:
    """Take a content that comes in `pieces`; nothing of one that breaks off stays."""
    upload = Upload(uploader)
    try:
        async for piece in pieces:
            await upload.take(piece)
        return await upload.end(content_type, revpos)
    except BaseException:
        await upload.discard()
        raise


async def set_aside(
    batch: Sequence[Write], uploader: str
) -> tuple[Sequence[Write], list[Uploaded]]:
    """Store the large contents that came inside documents, so that the writer need not.

    Returns the writes that refer to them, and what has to be given to `adopting`.
    """
    received: list[Uploaded] = []
    if not any(one.attachments for one in batch):
        return batch, received
    try:
        return [await _without_large(one, uploader, received) for one in batch], received
    except BaseException:
        await discard(received)
        raise


async def _without_large(one: Write, uploader: str, received: list[Uploaded]) -> Write:
    if not one.attachments:
        return one
    given = dict(one.attachments)
    for name, each in given.items():
        if isinstance(each, Inline) and len(each.content) > HELD:
            pieces = _once(each.content)
            stored = await receive(pieces, uploader, each.content_type, each.revpos)
            received.append(stored)
            given[name] = stored
    return one._replace(attachments=given)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@asynccontextmanager
async def adopting(received: Sequence[Uploaded]) -> AsyncIterator[None]:
    """Remove of `received` what the write in this context has not made part of a document.

    A write that is cancelled may still come, so then the housekeeping has to look.
    """
    try:
        yield
    except asyncio.CancelledError:
        raise
    except BaseException:
        await discard(received)
        raise
    await discard(received)


async def discard(received: Sequence[Uploaded]) -> None:
    """Remove those of the contents that no document has adopted."""
    blobs = [one.content for one in received if isinstance(one.content, int)]
    if blobs:
        await _remove(await sql.point(partial(attachments.unadopted, blobs=blobs)))


async def _remove(blobs: Sequence[Blob]) -> None:
    if blobs:
        await _in_thread(partial(contents.remove, blobs))
        await sql.write(partial(attachments.forget, blobs=blobs))


async def check(one: Attached) -> None:
    """Raise ContentMissing if the content is not here: before an answer begins."""
    await sql.point(partial(attachments.check, one=one))


async def stored(one: Attached, part: ByteRange | None = None) -> AsyncIterator[bytes]:
    """Give the content as it is stored, or a part of it; raises ContentMissing."""
    at, stop = (0, one.stored_length) if part is None else (part.start, part.stop)
    read = partial(attachments.read, blob=one.blob, start=at, at_most=stop - at)
    blob, piece = await sql.point(read)
    content = contents.of(blob)
    while at < stop:
        if not piece:
            piece = await _in_thread(partial(content.read, at, min(stop - at, AT_ONCE)))
        if not piece:
            raise EOFError(f"The content of blob {one.blob} ends at {at}, before {stop}.")
        at += len(piece)
        yield piece
        piece = b""


async def plain(one: Attached) -> AsyncIterator[bytes]:
    """Give the content as a client sees it, unpacked."""
    async with aclosing(stored(one)) as pieces:  # type: ignore[type-var]
        if one.encoding != "gzip":
            async for piece in pieces:
                yield piece
            return
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        async for piece in pieces:
            while piece:
                yield unpacker.decompress(piece, AT_ONCE)
                piece = unpacker.unconsumed_tail
        yield unpacker.flush()


def _in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    return asyncio.get_running_loop().run_in_executor(_pool, work)
