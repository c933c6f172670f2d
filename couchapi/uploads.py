"""Contents on their way in and out: streamed into blobs, streamed out of them, never whole."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

from acl import sql
from couchapi.core import attached
from couchapi.core.attached import Attached
from couchapi.core.incoming import Uploaded
from couchapi.core.ranges import ByteRange
from couchapi.store import attachments
from couchapi.store.attachments import CHUNK

_CHUNKS_IN_A_TRANSACTION = 8


class Upload:
    """A content that is being received into a blob of its own."""

    def __init__(self, blob: int) -> None:
        self.blob = blob
        self.length = 0
        self._stored = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._pieces: list[bytes] = []
        self._chunks: list[bytes] = []

    @classmethod
    async def begin(cls, uploader: str) -> Upload:
        """Make the blob; `uploader` is the key of who sends."""
        now = int(time.time())
        return cls(await sql.write(partial(attachments.new_blob, uploader=uploader, now=now)))

    async def take(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._md5.update(piece)
        self.length += len(piece)
        self._pieces.append(piece)
        if sum(map(len, self._pieces)) >= CHUNK:
            self._cut()
        if len(self._chunks) >= _CHUNKS_IN_A_TRANSACTION:
            await self._store()

    async def end(self) -> str:
        """Store the rest, and return the digest."""
        self._cut()
        if self._chunks:
            await self._store()
        return attached.digest_text(self._md5.digest())

    def _cut(self) -> None:
        """Make a chunk of what has come; chunks may differ in size."""
        if self._pieces:
            self._chunks.append(b"".join(self._pieces))
            self._pieces.clear()

    async def _store(self) -> None:
        pieces, self._chunks = self._chunks, []
        self._stored = await sql.write(
            partial(attachments.append, blob=self.blob, position=self._stored, pieces=pieces)
        )


async def receive(
    pieces: AsyncIterator[bytes], uploader: str, content_type: str, revpos: int | None = None
) -> Uploaded:
    """Store a content that comes in `pieces`."""
    upload = await Upload.begin(uploader)
    async for piece in pieces:
        await upload.take(piece)
    digest = await upload.end()
    return Uploaded(upload.blob, content_type, digest, upload.length, revpos)


async def discard(blobs: Sequence[int]) -> None:
    """Remove what was received: the document it belongs to was refused."""
    if blobs:
        await sql.write(partial(attachments.remove, blobs=blobs))


async def stored(one: Attached, part: ByteRange | None = None) -> AsyncIterator[bytes]:
    """Give the content as it is stored, or a part of it."""
    at, stop = (0, one.stored_length) if part is None else (part.start, part.stop)
    while at < stop:
        piece = await sql.point(
            partial(attachments.read, blob=one.blob, start=at, at_most=stop - at)
        )
        if not piece:
            raise EOFError(f"The content of blob {one.blob} ends at {at}, before {stop}.")
        at += len(piece)
        yield piece


async def plain(one: Attached) -> AsyncIterator[bytes]:
    """Give the content as a client sees it, unpacked."""
    if one.encoding != "gzip":
        async for piece in stored(one):
            yield piece
        return
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    async for piece in stored(one):
        while piece:
            yield unpacker.decompress(piece, CHUNK)
            piece = unpacker.unconsumed_tail
    yield unpacker.flush()
