"""What a backup says, as frames: one byte for its kind, the length, and the content.

    HEAD      JSON: what this backup is, and the state that a later one continues from
    FILE      msgpack: the path and the content of a small file of the data folder (keys)
    TABLE     JSON: the name of a table, its columns and their kinds; ROWS belong to the newest
    ROWS      msgpack: rows of that table, packed
    DATABASE  JSON: a CouchDB database whose documents follow; `whole` replaces those before
    CONTENT   JSON: a blob; PIECES of its content follow
    END       JSON: how much there was; what does not end with it is not whole

A backup describes its own tables, so it can be loaded by any later hub and into either kind of
database: times are text in UTC, truth is true or false, all other values are what they are.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

import msgpack

from thalihub.backups.sealing import Damaged

HEAD: Final = b"H"
FILE: Final = b"F"
TABLE: Final = b"T"
ROWS: Final = b"R"
DATABASE: Final = b"D"
CONTENT: Final = b"B"
PIECE: Final = b"P"
END: Final = b"E"

_FRAME = struct.Struct(">ccI")
_PLAIN, _PACKED = b"-", b"z"
_LEVEL = 1
Row = Sequence[Any]


class Frame(NamedTuple):
    """One frame, unpacked."""

    kind: bytes
    content: bytes

    @property
    def said(self) -> Any:
        """The content of a frame that is JSON."""
        return json.loads(self.content)

    @property
    def rows(self) -> list[list[Any]]:
        """The content of ROWS or FILE."""
        found: list[list[Any]] = msgpack.unpackb(self.content, strict_map_key=False)
        return found


@dataclass(frozen=True, slots=True)
class Position:
    """How far a backup has a database."""

    epoch: str
    seq: int
    purge_seq: int


@dataclass(frozen=True, slots=True)
class Head:
    """What a backup is; the later one of a chain names the one before as its parent."""

    ident: str
    parent: str
    lineage: str
    """Of the hub's tables: they get another one when they are restored."""
    made_at: int
    """Unix seconds."""
    version: str
    vendor: str
    key: str
    """The hub's device key."""
    migrations: list[tuple[str, str]]
    databases: dict[int, Position] = field(default_factory=dict)
    newest_blob: int = 0
    open_blobs: list[int] = field(default_factory=list)
    """Those not newer whose contents are not in here: nobody had adopted them yet."""

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


def head_from(text: str | bytes) -> Head:
    """Return what `as_text` has told; raises Damaged."""
    try:
        said = json.loads(text)
        places = {int(name): Position(**one) for name, one in said.pop("databases").items()}
        steps = [(app, name) for app, name in said.pop("migrations")]
        return Head(databases=places, migrations=steps, **said)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Damaged from None


def framed(kind: bytes, content: bytes, *, is_packed: bool = False) -> bytes:
    """Return a frame as bytes."""
    if is_packed:
        content = zlib.compress(content, _LEVEL)
    return _FRAME.pack(kind, _PACKED if is_packed else _PLAIN, len(content)) + content


def told(kind: bytes, said: Any) -> bytes:
    """Return a frame of JSON."""
    return framed(kind, json.dumps(said).encode())


def packed_rows(rows: Sequence[Row]) -> bytes:
    """Return the frame of some rows."""
    packed: bytes = msgpack.packb(rows)
    return framed(ROWS, packed, is_packed=True)


def file(path: str, content: bytes) -> bytes:
    """Return the frame of a small file."""
    packed: bytes = msgpack.packb([[path, content]])
    return framed(FILE, packed)


def read(chunks: Iterable[bytes]) -> Iterator[Frame]:
    """Yield the frames of a stream; raises Damaged for what does not end with END."""
    source = _Source(chunks)
    while True:
        kind, form, length = _FRAME.unpack(source.take(_FRAME.size))
        content = source.take(length)
        yield Frame(kind, zlib.decompress(content) if form == _PACKED else content)
        if kind == END:
            source.check_end()
            return


class _Source:
    """Bytes by number out of pieces as they come."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._piece = memoryview(b"")

    def take(self, length: int) -> bytes:
        """Return that many bytes; raises Damaged when there are fewer."""
        found = bytearray()
        while len(found) < length:
            if not self._piece:
                self._piece = memoryview(next(self._chunks, b""))
                if not self._piece:
                    raise Damaged
            missing = length - len(found)
            found += self._piece[:missing]
            self._piece = self._piece[missing:]
        return bytes(found)

    def check_end(self) -> None:
        """Raise Damaged when something follows."""
        if self._piece or next(self._chunks, b""):
            raise Damaged
