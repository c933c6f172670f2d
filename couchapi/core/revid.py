"""Revision ids: `3-9af1…` says how many edits deep, then names what was written.

The one idea: the id alone says when a hub made the edit.  The 32 hex digits of a *stamped* id are

    48 bits Unix milliseconds | 16 bits tag | 64 bits digest of what was written

where the tag is drawn from the other two, so that a rev id of another CouchDB is taken for a stamp
as good as never.  A tag of 16 bits alone would err once in 65,536 revisions, and nearly always
with a date that lies thousands of years ahead; so a stamp is one only between 2020 and 2100, which
leaves one error in seven million.  No local note and no body takes part: JavaScript peers write
numbers anew, and replicas must agree (design/conflicts.md, R1 and R3).

The hash is always lower-case hex: CouchDB turns 32 hex digits into 16 bytes and PouchDB compares
text, so anything else could make them choose different winners.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from couchapi.core.errors import BadRequest

FIRST_STAMP: Final = 1_577_836_800_000
"""2020-01-01 in Unix milliseconds: no stamp is older."""

LAST_STAMP: Final = 4_102_444_799_999
"""The last millisecond of 2099."""

MAX_POS: Final = 999_999_999_999_999
"""Generations stay exact in JavaScript's numbers."""

_BEGUN_TAG: Final = sha256(b"thali-stamp-1")
_FIRST_HEX: Final = f"{FIRST_STAMP:012x}"
_LAST_HEX: Final = f"{LAST_STAMP:012x}"

_REV: Final = re.compile(r"([1-9][0-9]{0,14})-([!#-~]{1,200})")
_HASH: Final = re.compile(r"[!#-~]{1,200}")
_HEX32: Final = re.compile(r"[0-9a-f]{32}")


class RevId(NamedTuple):
    """`3-9af1…`: how many edits deep, then what was written.  Sorts as CouchDB sorts."""

    pos: int
    hash: str

    def __str__(self) -> str:
        return f"{self.pos}-{self.hash}"


def parse(text: str) -> RevId:
    """Read a rev id; another server's need not be hex, but is printable ASCII without quotes.

    Raises BadRequest("Invalid rev format").
    """
    match = _REV.fullmatch(text)
    if match is None:
        raise BadRequest("Invalid rev format")
    return RevId(int(match[1]), match[2])


def check(text: str) -> str:
    """Return the text of a rev id that `parse` would read; raises BadRequest for others."""
    if _REV.fullmatch(text) is None:
        raise BadRequest("Invalid rev format")
    return text


def path(start: int, hashes: Sequence[str]) -> tuple[RevId, ...]:
    """Read the `_revisions` of a document: the revision and its ancestors, newest first.

    Raises BadRequest("Invalid rev format"), also for more ids than there are generations.
    """
    if not 0 < len(hashes) <= start <= MAX_POS or not all(map(_HASH.fullmatch, hashes)):
        raise BadRequest("Invalid rev format")
    return tuple(map(RevId, range(start, start - len(hashes), -1), hashes))


def mint(
    parent: RevId | None, deleted: bool, body: bytes, attachment_digests: Sequence[str], ms: int
) -> RevId:
    """Name an edit that this hub made at `ms` (R1).

    `body` is taken as stored: the stamp makes the id unique, so nobody has to find the same id
    for the same document in another spelling.  Raises BadRequest when the document is too deep,
    ValueError when `ms` is none that `lww.next_ms` gives: the stamp would not be seen as one.
    """
    if not FIRST_STAMP <= ms <= LAST_STAMP:
        raise ValueError(f"no stamp can say {ms} ms")
    digest = _digest(parent, deleted, body, attachment_digests)[:8]
    when = ms.to_bytes(6, "big")
    return RevId(_child_pos(parent), (when + _tag(when + digest) + digest).hex())


def plain(
    parent: RevId | None, deleted: bool, body: bytes, attachment_digests: Sequence[str]
) -> RevId:
    """Name an edit as CouchDB does: the same edit has the same id, and no time.

    Raises BadRequest when the document is too deep.
    """
    digest = _digest(parent, deleted, body, attachment_digests)
    return RevId(_child_pos(parent), digest[:16].hex())


def stamp_of(rev: RevId) -> int | None:
    """Return when a hub made this edit in Unix milliseconds, None for an id without a stamp."""
    text = rev.hash
    # Most foreign ids end here, without a hash being computed.
    if not _FIRST_HEX <= text[:12] <= _LAST_HEX or _HEX32.fullmatch(text) is None:
        return None
    raw = bytes.fromhex(text)
    if _tag(raw[:6] + raw[8:]) != raw[6:8]:
        return None
    return int.from_bytes(raw[:6], "big")


def _digest(
    parent: RevId | None, deleted: bool, body: bytes, attachment_digests: Sequence[str]
) -> bytes:
    attachments = ",".join(attachment_digests) if attachment_digests else ""
    # No part but the last can hold a NUL, so two edits never feed the hash the same bytes.
    head = f"{parent or ''}\0{deleted:d}\0{attachments}\0"
    return sha256(head.encode() + body).digest()


def _tag(stamped: bytes) -> bytes:
    # A copy of a hash that has begun costs half of a new one.
    hasher = _BEGUN_TAG.copy()
    hasher.update(stamped)
    return hasher.digest()[:2]


def _child_pos(parent: RevId | None) -> int:
    if parent is None:
        return 1
    if parent.pos >= MAX_POS:
        raise BadRequest("This document has too many generations to be edited.")
    return parent.pos + 1
