"""Multipart bodies (RFC 2046) written in pieces, in CouchDB's shape (couch_httpd_multipart).

Where the content of an attachment belongs, the iterators give the attachment itself, and whoever
sends has it read; so no content is ever held as a whole.

    --boundary                                        --outer
    Content-Type: application/json                    Content-Type: multipart/related; boundary=…

    {"_id":…}                                         (the whole of the left side)
    --boundary                                        --outer
    Content-Disposition: attachment; filename="a"     Content-Type: application/json; error="true"
    Content-Type: text/plain
    Content-Length: 3                                 {"missing":"3-…"}
                                                      --outer--
    abc
    --boundary--
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

_NOT_IN_HEADERS = re.compile(r"[\x00-\x1f\x7f]")


class Outgoing(NamedTuple):
    """An attachment to send; `length` counts the bytes that are sent, `encoding` is theirs.

    `content` means nothing here: it is how the sender finds the bytes.
    """

    name: str
    content_type: str
    length: int
    encoding: str | None
    content: Any


def related_type(boundary: str) -> str:
    """Return the Content-Type of a document with attachments."""
    return f'multipart/related; boundary="{boundary}"'


def mixed_type(boundary: str) -> str:
    """Return the Content-Type of several documents."""
    return f'multipart/mixed; boundary="{boundary}"'


def related(
    boundary: str, document: bytes, attachments: Sequence[Outgoing]
) -> Iterator[bytes | Outgoing]:
    """Give the pieces of a document with its attachments."""
    line = b"--" + boundary.encode()
    yield line + b"\r\nContent-Type: application/json\r\n\r\n" + document + b"\r\n" + line
    for attachment in attachments:
        yield _attachment_head(attachment)
        yield attachment
        yield b"\r\n" + line
    yield b"--"


def related_length(boundary: str, document: bytes, attachments: Sequence[Outgoing]) -> int:
    """Return the Content-Length of `related`, in bytes."""
    pieces = related(boundary, document, attachments)
    return sum(len(each) if isinstance(each, bytes) else each.length for each in pieces)


def mixed_document(
    outer: str,
    inner: str,
    document: bytes,
    attachments: Sequence[Outgoing] = (),
    fields: Iterable[tuple[str, str]] = (),
) -> Iterator[bytes | Outgoing]:
    """Give the pieces of one document as a part of multipart/mixed.

    `inner` is the boundary of its own attachments; without any it is plain JSON.  `fields` are
    more headers, such as the X-Doc-Id of `_bulk_get`.
    """
    if not attachments:
        yield _part_head(outer, [*fields, ("Content-Type", "application/json")]) + document
    else:
        yield _part_head(outer, [*fields, ("Content-Type", related_type(inner))])
        yield from related(inner, document, attachments)
    yield b"\r\n"


def mixed_error(outer: str, error: bytes) -> bytes:
    """Return a part that says why a revision is not there, such as `{"missing":"3-…"}`."""
    return _part_head(outer, [("Content-Type", 'application/json; error="true"')]) + error + b"\r\n"


def mixed_end(outer: str) -> bytes:
    """Return what stands after the last part."""
    return b"--" + outer.encode() + b"--"


def _part_head(boundary: str, fields: Iterable[tuple[str, str]]) -> bytes:
    lines = "".join(f"{name}: {_header_text(value)}\r\n" for name, value in fields)
    return f"--{boundary}\r\n{lines}\r\n".encode()


def _attachment_head(attachment: Outgoing) -> bytes:
    lines = [
        f'\r\nContent-Disposition: attachment; filename="{_quoted(attachment.name)}"',
        f"\r\nContent-Type: {_header_text(attachment.content_type)}",
        f"\r\nContent-Length: {attachment.length}",
    ]
    if attachment.encoding:
        lines.append(f"\r\nContent-Encoding: {attachment.encoding}")
    return "".join([*lines, "\r\n\r\n"]).encode()


def _quoted(name: str) -> str:
    # A line's end in a name must not end the header: it goes as in a form, as %0D or %0A.
    escaped = _NOT_IN_HEADERS.sub(lambda found: f"%{ord(found[0]):02X}", name)
    return escaped.replace("\\", "\\\\").replace('"', '\\"')


def _header_text(value: str) -> str:
    return _NOT_IN_HEADERS.sub(" ", value)
