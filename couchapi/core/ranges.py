"""The Range header of attachments (RFC 9110, 14.1.2 and 14.2): one range of bytes, or the whole.

A client must be ready to get the whole (200) where it asked for a part, so whatever is not one
clear range of bytes is answered with that, as CouchDB does.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from couchapi.core.errors import RangeNotSatisfiable

_RANGE = re.compile(
    r"bytes[ \t]*=[ \t]*([0-9]{0,18})[ \t]*-[ \t]*([0-9]{0,18})[ \t]*", re.IGNORECASE
)


class ByteRange(NamedTuple):
    """From byte `start` up to and without byte `stop`, of `size` in all."""

    start: int
    stop: int
    size: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.stop - self.start

    @property
    def content_range(self) -> str:
        """The answer's Content-Range."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


def parse(header: str | None, size: int) -> ByteRange | None:
    """Return the range asked for of `size` bytes, None for the whole.

    Raises RangeNotSatisfiable where the range has no byte of it; that answer carries
    `unsatisfied(size)` as Content-Range.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return _suffix(int(found[2]), size)
    first = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None  # not a range at all (RFC 9110, 14.1.1)
    if first >= size:
        raise RangeNotSatisfiable
    return ByteRange(first, min(last + 1, size), size)


def unsatisfied(size: int) -> str:
    """Return the Content-Range of an answer 416."""
    return f"bytes */{size}"


def _suffix(length: int, size: int) -> ByteRange:
    if length == 0 or size == 0:
        raise RangeNotSatisfiable
    return ByteRange(max(0, size - length), size, size)
