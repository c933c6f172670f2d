"""Multipart bodies are read however they are cut, and written so that they can be read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import multipart
from couchapi.core.errors import BadRequest, CouchError, DocumentTooLarge
from couchapi.core.multipart import (
    Attachment,
    Document,
    DocumentParser,
    End,
    Header,
    Outgoing,
    Parser,
)

TYPE = 'multipart/related; boundary="bound"'


def _cut(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:stop] for start, stop in zip(at, at[1:], strict=False)]


def _parts(parser: Parser, chunks: Iterable[bytes]) -> list[tuple[dict[str, str], bytes]]:
    parts: list[tuple[dict[str, str], bytes]] = []
    content = b""
    for chunk in chunks:
        for event in parser.feed(chunk):
            if isinstance(event, Header):
                fields, content = dict(event.fields), b""
            elif isinstance(event, bytes):
                content += event
            else:
                assert event == End(len(content))
                parts.append((fields, content))
    parser.finish()
    return parts


def _bytewise(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


def _joined(pieces: Iterable[bytes | Outgoing]) -> bytes:
    return b"".join(each if isinstance(each, bytes) else each.content for each in pieces)


def _documents(body: bytes, chunks: Iterable[bytes] | None = None) -> tuple[Any, dict[str, bytes]]:
    parser = DocumentParser(TYPE)
    value, contents, name = None, dict[str, bytes](), ""
    for chunk in chunks or [body]:
        for event in parser.feed(chunk):
            if isinstance(event, Document):
                value = event.value
            elif isinstance(event, Attachment):
                name = event.name
                contents[name] = b""
            elif isinstance(event, bytes):
                contents[name] += event
    parser.finish()
    return value, contents


def _announcing(**lengths: int | None) -> bytes:
    members = {
        name: {"follows": True} | ({} if length is None else {"length": length})
        for name, length in lengths.items()
    }
    return orjson.dumps({"_id": "x", "_attachments": members})


def _body(document: bytes, *parts: bytes) -> bytes:
    first = b"--bound\r\nContent-Type: application/json\r\n\r\n" + document
    return first + b"".join(b"\r\n--bound" + part for part in parts) + b"\r\n--bound--"


@pytest.mark.parametrize("cut", [lambda body: [body], _bytewise])
def test_parts_are_read_with_their_headers(cut: Any) -> None:
    body = (
        b"preamble\r\n--b\r\nA: 1\r\nContent-Type: text/plain\r\n\r\nab\r\n--\r\ncd"
        b"\r\n--b  \t\r\n\r\nno headers\r\n--b\r\nX: y\r\n\r\n\r\n--b\r\nX: z\r\n\r\n--b--epilogue"
    )
    assert _parts(Parser("b"), cut(body)) == [
        ({"a": "1", "content-type": "text/plain"}, b"ab\r\n--\r\ncd"),
        ({}, b"no headers"),
        ({"x": "y"}, b""),
        ({"x": "z"}, b""),
    ]


_CONTENTS = st.lists(
    st.one_of(
        st.binary(max_size=30), st.sampled_from([b"\r\n--boun", b"\r\n--", b"--bound", b"\r"])
    ),
    max_size=4,
)


@given(_CONTENTS, st.lists(st.integers(0, 10**6), max_size=20))
def test_any_cutting_gives_the_same_attachments(contents: list[bytes], cuts: list[int]) -> None:
    sent = {f"n{at}": content for at, content in enumerate(contents)}
    document = _announcing(**{name: len(content) for name, content in sent.items()})
    outgoing = [Outgoing(name, "a/b", len(each), None, each) for name, each in sent.items()]
    body = _joined(multipart.related("bound", document, outgoing))
    assert len(body) == multipart.related_length("bound", document, outgoing)
    assert _documents(body, _cut(body, cuts)) == (orjson.loads(document), sent)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_any_name_finds_its_attachment(name: str) -> None:
    document = orjson.dumps({"_attachments": {"z": {"follows": True}, name: {"follows": True}}})
    outgoing = [Outgoing(name, "a/b\r\nX: y", 1, "gzip", b"1"), Outgoing("z", "a/b", 1, None, b"2")]
    if name == "z":
        return
    body = _joined(multipart.related("bound", document, outgoing))
    assert _documents(body)[1] == {name: b"1", "z": b"2"}


def test_a_header_cannot_be_smuggled_in_a_name_or_a_type() -> None:
    sent = Outgoing('a"\r\nX: 1', "a/b\r\nY: 2", 0, None, b"")
    body = _joined(multipart.related("bound", b"{}", [sent]))
    fields = _parts(Parser("bound"), [body])[1][0]
    assert set(fields) == {"content-disposition", "content-type", "content-length"}


def test_attachments_without_a_name_come_in_the_announced_order() -> None:
    body = _body(_announcing(b=1, a=1), b"\r\n\r\n1", b"\r\n\r\n2")
    assert _documents(body)[1] == {"b": b"1", "a": b"2"}


def test_attachments_with_a_name_come_in_any_order() -> None:
    named = b'\r\nContent-Disposition: attachment; filename="%s"\r\n\r\n'
    body = _body(_announcing(b=1, a=1), named % b"a" + b"1", b"\r\n\r\n2")
    assert _documents(body)[1] == {"a": b"1", "b": b"2"}
    extended = b"\r\nContent-Disposition: attachment; filename*=UTF-8''%C3%A4\r\n\r\n1"
    assert _documents(_body(_announcing(ä=1), extended))[1] == {"ä": b"1"}


def test_an_attachment_tells_its_type_and_encoding() -> None:
    member = {"follows": True, "length": 9, "encoding": "gzip", "encoded_length": 2}
    document = orjson.dumps({"_attachments": {"a": member, "s": {"stub": True}}})
    part = b"\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\nzz"
    events = list(DocumentParser(TYPE).feed(_body(document, part)))
    assert events == [
        Document(orjson.loads(document)),
        Attachment("a", member, "text/plain", "gzip"),
        b"zz",
        End(2),
    ]


_FOLLOWS = _announcing(a=3)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--bound--",
        b"no boundary at all" * 1000,
        b"--boundX\r\n\r\n{}\r\n--bound--",
        b"--bound\r\n\r\n{}",
        b"--bound\r\n\r\n{}\r\n--bound",
        b"--bound\r\n\r\n{}\r\n--bound\r\nA: " + b"a" * 20_000,
        b"--bound\r\n\r\n{}\r\n--bound" + b" " * 200,
        b"--bound\r\nno colon\r\n\r\n{}\r\n--bound--",
        b"--bound\r\nA : b\r\n\r\n{}\r\n--bound--",
        b"--bound\r\nContent-Length: x\r\n\r\n{}\r\n--bound--",
        b"--bound\r\nContent-Length: 1\r\n\r\n{}\r\n--bound--",
        b"--bound\r\nContent-Length: 3\r\n\r\n{}\r\n--bound--",
        _body(b'{"a":1,"a":1}'),
        _body(b"{"),
        _body(_FOLLOWS),
        _body(_FOLLOWS, b"\r\n\r\nab"),
        _body(_FOLLOWS, b"\r\n\r\nabcd"),
        _body(_FOLLOWS, b"\r\nContent-Length: 4\r\n\r\nabc"),
        _body(_FOLLOWS, b"\r\n\r\nabc", b"\r\n\r\nabc"),
        _body(_FOLLOWS, b'\r\nContent-Disposition: attachment; filename="b"\r\n\r\nabc'),
        _body(_FOLLOWS, b"\r\n\r\nabc")[:-1],
        _body(b"{}", b"\r\n\r\nabc"),
    ],
)
@pytest.mark.parametrize("cut", [lambda body: [body], _bytewise])
def test_bodies_that_break_the_rules_are_refused(body: bytes, cut: Any) -> None:
    with pytest.raises(BadRequest):
        _documents(body, cut(body))


def test_too_many_parts_are_refused() -> None:
    body = b"--b\r\n\r\n" * (multipart.MAX_PARTS + 2)
    with pytest.raises(BadRequest, match="too many parts"):
        list(Parser("b").feed(body))


def test_a_large_document_is_refused_before_it_is_whole() -> None:
    parser = DocumentParser(TYPE, max_document=10)
    with pytest.raises(DocumentTooLarge):
        list(parser.feed(b"--bound\r\n\r\n" + b"x" * 1000))


def test_a_content_is_passed_on_and_not_kept() -> None:
    parser = Parser("bound")
    list(parser.feed(b"--bound\r\n\r\n"))
    passed = sum(len(event) for _ in range(100) for event in parser.feed(b"x" * 1000))  # type: ignore[arg-type]
    assert passed >= 100_000 - len("\r\n--bound")


@given(st.binary(max_size=60), st.lists(st.integers(0, 100), max_size=5))
def test_any_bytes_are_read_or_refused(body: bytes, cuts: list[int]) -> None:
    try:
        _documents(body, _cut(b"--bound\r\n" + body, cuts))
    except CouchError as refused:
        assert refused.status == 400


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; boundary="a b=c"', "a b=c"),
        ("multipart/related;type=x; BOUNDARY=abc", "abc"),
        ('multipart/related; x="boundary=no"; boundary=abc', "abc"),
        ('multipart/related; boundary="a\\+b"', "a+b"),
    ],
)
def test_the_boundary_is_a_parameter(content_type: str, boundary: str) -> None:
    assert multipart.boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    ["", "multipart/related", "multipart/related; boundary=", 'x; boundary=""', 'x; boundary="a "']
    + ['x; boundary="\r\n"', "x; boundary=é", "x; boundary=" + "a" * 201],
)
def test_a_bad_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(BadRequest):
        multipart.boundary_of(content_type)


def test_several_documents_are_written_as_couchdb_does() -> None:
    body = b"".join(
        [
            _joined(multipart.mixed_document("o", "i", b'{"a":1}')),
            _joined(
                multipart.mixed_document(
                    "o",
                    "i",
                    b'{"a":2}',
                    [Outgoing("n", "text/plain", 3, None, b"abc")],
                    [("X-Doc-Id", "ä\r\n")],
                )
            ),
            multipart.mixed_error("o", b'{"missing":"3-c"}'),
            multipart.mixed_end("o"),
        ]
    )
    assert body.decode() == (
        '--o\r\nContent-Type: application/json\r\n\r\n{"a":1}\r\n'
        '--o\r\nX-Doc-Id: ä  \r\nContent-Type: multipart/related; boundary="i"\r\n\r\n'
        '--i\r\nContent-Type: application/json\r\n\r\n{"a":2}\r\n'
        '--i\r\nContent-Disposition: attachment; filename="n"\r\nContent-Type: text/plain\r\n'
        "Content-Length: 3\r\n\r\nabc\r\n--i--\r\n"
        '--o\r\nContent-Type: application/json; error="true"\r\n\r\n{"missing":"3-c"}\r\n--o--'
    )
    outer = _parts(Parser("o"), [body])
    assert [fields["content-type"].split(";")[0] for fields, _ in outer] == [
        "application/json",
        "multipart/related",
        "application/json",
    ]
    inner = multipart.boundary_of(outer[1][0]["content-type"])
    assert [content for _, content in _parts(Parser(inner), [outer[1][1]])] == [b'{"a":2}', b"abc"]
    assert multipart.mixed_type("o") == 'multipart/mixed; boundary="o"'
