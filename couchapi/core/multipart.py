"""Multipart bodies (RFC 2046), in and out, in pieces: no content is ever held as a whole.

In: a `Parser` is fed with chunks as they arrive and tells `Header`, bytes, `End`.  Before the end
of a part is seen it keeps back only what could be the beginning of a delimiter.  `DocumentParser`
reads CouchDB's multipart/related on top: the first part is the document, the others are the
attachments that it announced with `"follows": true`.

Out: iterators of bytes in CouchDB's shape (couch_httpd_multipart).  Where the content of an
attachment belongs they give the attachment itself, and whoever sends has it read.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from couchapi.core import docjson
from couchapi.core.errors import BadRequest, DocumentTooLarge

MAX_HEADER = 16_384
MAX_PARTS = 10_000
MAX_DOCUMENT_PART = 64_000_000

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,199}[0-9A-Za-z'()+_,./:=?-]")
_PARAMETER = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', re.DOTALL)
_NOT_IN_HEADERS = re.compile(r"[\x00-\x1f\x7f]")
_PADDING = re.compile(rb"[ \t]*\r\n")
_MAX_PADDING = 128


class Header(NamedTuple):
    """A part begins; the names of its headers are in small letters."""

    fields: Mapping[str, str]


class End(NamedTuple):
    """A part ends; `length` is the number of its bytes."""

    length: int


Event = Header | bytes | End


def boundary_of(content_type: str) -> str:
    """Return the boundary that a Content-Type names; raises BadRequest."""
    boundary = parameter(content_type, "boundary")
    if boundary is None or _BOUNDARY.fullmatch(boundary) is None:
        raise BadRequest("The multipart Content-Type has no valid boundary")
    return boundary


def parameter(value: str, name: str) -> str | None:
    """Return a parameter of a header such as Content-Disposition, without its quotes."""
    for found in _PARAMETER.finditer(value):
        if found[1].lower() == name:
            return found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
    return None


class Parser:
    """Reads the parts of one multipart body.  `closed` is True after its last delimiter."""

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode()
        # The first delimiter may stand at the very beginning, without a line before it.
        self._rest = b"\r\n"
        self._step = self._preamble
        self._length = 0
        self._declared: int | None = None
        self._parts = 0
        self.closed = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Tell what the chunk brings; raises BadRequest for a body that breaks the rules."""
        self._rest += chunk
        while True:
            before = self._step
            yield from self._step()
            # A step stays what it is when it needs more bytes than there are.
            if self._step == before:
                return

    def finish(self) -> None:
        """Raise BadRequest if the body ended before its last delimiter."""
        if not self.closed:
            raise BadRequest("The multipart body ended before its last boundary")

    def _preamble(self) -> Iterator[Event]:
        start = self._rest.find(self._delimiter)
        if start < 0 and len(self._rest) > MAX_HEADER:
            raise BadRequest("The multipart body does not begin with its boundary")
        if start >= 0:
            self._rest = self._rest[start + len(self._delimiter) :]
            self._step = self._after_delimiter
        yield from ()

    def _after_delimiter(self) -> Iterator[Event]:
        rest = self._rest
        if rest.startswith(b"--"):
            yield from self._ended()
            self.closed, self._rest, self._step = True, b"", self._epilogue
            return
        padding = _PADDING.match(rest)
        if padding is not None:
            yield from self._ended()
            self._rest, self._step = rest[padding.end() - 2 :], self._headers
        elif len(rest) >= 2 and (rest.strip(b" \t\r") or len(rest) > _MAX_PADDING):
            raise BadRequest("A multipart boundary is not alone in its line")

    def _ended(self) -> Iterator[Event]:
        if self._parts:
            if self._declared is not None and self._declared != self._length:
                raise BadRequest("A part's length is not its Content-Length")
            yield End(self._length)
        self._length = 0

    def _headers(self) -> Iterator[Event]:
        # The rest begins with the end of the delimiter's line, so no headers are an empty line.
        end = self._rest.find(b"\r\n\r\n")
        if end > MAX_HEADER or (end < 0 and len(self._rest) > MAX_HEADER):
            raise BadRequest("The headers of a part are too long")
        if end < 0:
            return
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadRequest("The multipart body has too many parts")
        fields = _fields(self._rest[:end])
        self._declared = _declared_length(fields)
        self._rest, self._step = self._rest[end + 2 :], self._content_start
        yield Header(fields)

    def _content_start(self) -> Iterator[Event]:
        # A part without content may end here: its empty line is then that of the delimiter.
        beginning = self._rest[: len(self._delimiter)]
        if self._declared or not self._delimiter.startswith(beginning):
            self._rest, self._step = self._rest[2:], self._content
        elif beginning == self._delimiter:
            self._step = self._content
        yield from ()

    def _content(self) -> Iterator[Event]:
        start = self._rest.find(self._delimiter)
        keep = len(self._delimiter) - 1
        stop = start if start >= 0 else max(0, len(self._rest) - keep)
        if stop:
            self._length += stop
            if self._declared is not None and self._length > self._declared:
                raise BadRequest("A part's length is not its Content-Length")
            content, self._rest = self._rest[:stop], self._rest[stop:]
            yield content
        if start >= 0:
            self._rest, self._step = self._rest[len(self._delimiter) :], self._after_delimiter

    def _epilogue(self) -> Iterator[Event]:
        self._rest = b""
        yield from ()


def _fields(block: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in block.decode(errors="replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest("A part has a header that cannot be read")
        fields[name.lower()] = value.strip()
    return fields


def _declared_length(fields: Mapping[str, str]) -> int | None:
    text = fields.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadRequest("A part's Content-Length is not a number")
    return int(text)


# -- a document and its attachments, in ----------------------------------------------------------


class Document(NamedTuple):
    """The document has been read: `value` as `docjson.parse` gives it."""

    value: Any


class Attachment(NamedTuple):
    """The content of an announced attachment begins; bytes follow, then `End`."""

    name: str
    member: Mapping[str, Any]
    content_type: str | None
    encoding: str | None


DocumentEvent = Document | Attachment | bytes | End


class DocumentParser:
    """Reads multipart/related: one document, then the attachments that it announced.

    A part belongs to the attachment that its Content-Disposition names; without a name, to the
    first announced one that is still to come.
    """

    def __init__(self, content_type: str, *, max_document: int = MAX_DOCUMENT_PART) -> None:
        self._parser = Parser(boundary_of(content_type))
        self._max_document = max_document
        self._text: list[bytes] = []
        self._size = 0
        self._awaited: dict[str, Mapping[str, Any]] | None = None
        self._current: Attachment | None = None

    def feed(self, chunk: bytes) -> Iterator[DocumentEvent]:
        """Tell what the chunk brings; raises BadRequest, DocumentTooLarge."""
        for event in self._parser.feed(chunk):
            if self._awaited is None:
                yield from self._read_document(event)
            elif isinstance(event, Header):
                self._current = self._expected(event.fields)
                yield self._current
            else:
                if isinstance(event, End):
                    self._check_length(event.length)
                yield event

    def finish(self) -> None:
        """Raise BadRequest if the body ended early or an announced attachment did not follow."""
        self._parser.finish()
        if self._awaited is None:
            raise BadRequest("The multipart body has no document")
        for name in self._awaited:
            raise BadRequest(f"The attachment '{name}' was announced and did not follow.")

    def _read_document(self, event: Event) -> Iterator[DocumentEvent]:
        if isinstance(event, bytes):
            self._size += len(event)
            if self._size > self._max_document:
                raise DocumentTooLarge
            self._text.append(event)
        elif isinstance(event, End):
            value = docjson.parse(b"".join(self._text))
            self._text.clear()
            self._awaited = _announced(value)
            yield Document(value)

    def _expected(self, fields: Mapping[str, str]) -> Attachment:
        awaited = self._awaited or {}
        sent = _filename(fields.get("content-disposition", ""))
        names = [name for name in (sent, unquote(sent)) if name in awaited] if sent else [*awaited]
        if not names:
            raise BadRequest("A part belongs to no announced attachment")
        member = awaited.pop(names[0])
        return Attachment(
            names[0], member, fields.get("content-type"), fields.get("content-encoding")
        )

    def _check_length(self, length: int) -> None:
        if self._current is None:
            return
        name, member = self._current.name, self._current.member
        stored = member.get("encoded_length") if "encoding" in member else None
        announced = member.get("length") if stored is None else stored
        if announced is not None and announced != length:
            raise BadRequest(f"The attachment '{name}' has not the length that was announced.")


def _announced(value: Any) -> dict[str, Mapping[str, Any]]:
    members = value.get("_attachments") if isinstance(value, dict) else None
    if not isinstance(members, dict):
        return {}
    return {
        name: member
        for name, member in members.items()
        if isinstance(member, dict) and member.get("follows") is True
    }


def _filename(disposition: str) -> str | None:
    extended = parameter(disposition, "filename*")  # RFC 5987
    if extended is not None and extended.lower().startswith("utf-8''"):
        return unquote(extended[7:])
    return parameter(disposition, "filename")


# -- documents and their attachments, out --------------------------------------------------------


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
