"""A content that is stored as gzip, as replicators send it: is it what it says it is?

It is unpacked once on its way in, so that nobody who reads it later meets bytes that cannot be
unpacked, or more of them than were announced.
"""

from __future__ import annotations

import zlib

from couchapi.core.errors import BadRequest

_AT_ONCE = 256 * 1024


class Check:
    """Unpacks a content without keeping it; `length` bytes have to come out."""

    def __init__(self, length: int) -> None:
        self._left = length
        self._unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def feed(self, piece: bytes) -> None:
        """Take the next packed bytes; raises BadRequest."""
        while piece:
            if self._unpacker.eof:
                raise BadRequest("Something follows the gzipped content of an attachment.")
            try:
                self._left -= len(self._unpacker.decompress(piece, _AT_ONCE))
            except zlib.error:
                raise BadRequest("The content of an attachment is not valid gzip.") from None
            if self._left < 0:
                raise _wrong_length()
            piece = self._unpacker.unconsumed_tail or self._unpacker.unused_data

    def end(self) -> None:
        """Raise BadRequest if something is missing."""
        if self._left or not self._unpacker.eof:
            raise _wrong_length()


def _wrong_length() -> BadRequest:
    return BadRequest("The gzipped content of an attachment has not the announced length.")
