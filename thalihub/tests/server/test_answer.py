"""An answer's framing never lets one answer run into the next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalihub.frontend.answer import Answer, refusal


def _answer(status=200, headers=(), *, method=b"GET", version=b"HTTP/1.1", first=0, more=True):
    return Answer(status, headers, method=method, version=version, first=first, more=more)


def _wire(answer, parts):
    head = answer.head(b"now", keep_alive=not answer.needs_close)
    return head + b"".join(answer.encode(part) for part in parts) + answer.end()


@given(st.lists(st.binary(max_size=20), min_size=2))
def test_chunks_hold_the_parts(parts):
    _, _, body = _wire(_answer(first=len(parts[0])), parts).partition(b"\r\n\r\n")
    read = b""
    while body != b"0\r\n\r\n":
        size, _, body = body.partition(b"\r\n")
        count = int(size, 16)
        read, rest = read + body[:count], body[count:]
        assert rest.startswith(b"\r\n")
        body = rest[2:]
    assert read == b"".join(parts)


@given(st.binary(max_size=50))
def test_whole_answer_gets_its_length(body):
    wire = _wire(_answer(first=len(body), more=False), [body])
    assert b"\r\ncontent-length: %d\r\n" % len(body) in wire
    assert wire.endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_body_has_none(status):
    wire = _wire(_answer(status, first=3, more=False), [b"abc"])
    assert wire.endswith(b"\r\n\r\n")
    assert b"content-length" not in wire


def test_head_says_the_length_and_sends_nothing():
    wire = _wire(_answer(method=b"HEAD", first=3, more=False), [b"abc"])
    assert b"content-length: 3\r\n" in wire
    assert wire.endswith(b"\r\n\r\n")


def test_http_1_0_has_no_chunks_and_ends_with_the_connection():
    answer = _answer(version=b"HTTP/1.0", first=3)
    wire = _wire(answer, [b"abc", b"def"])
    assert answer.needs_close
    assert wire.endswith(b"connection: close\r\n\r\nabcdef")


def test_body_longer_than_declared_is_an_error():
    answer = _answer(headers=[(b"Content-Length", b"2")])
    with pytest.raises(ValueError, match="longer"):
        answer.encode(b"abc")


def test_body_shorter_than_declared_is_an_error():
    answer = _answer(headers=[(b"Content-Length", b"4")])
    answer.encode(b"abc")
    with pytest.raises(ValueError, match="shorter"):
        answer.end()


@pytest.mark.parametrize("value", [b"a\r\nSet-Cookie: x", b"a\nb", b"a\rb"])
def test_header_with_a_line_break_is_an_error(value):
    with pytest.raises(ValueError, match="line break"):
        _answer(headers=[(b"x-test", value)])


def test_connection_headers_of_the_application_are_ours_to_say():
    wire = _wire(_answer(headers=[(b"Connection", b"upgrade")], first=0, more=False), [])
    assert b"upgrade" not in wire


def test_refusal_is_an_error_in_couchdb_form():
    wire = refusal(413, "too_large", "the request entity is too large")
    assert wire.startswith(b"HTTP/1.1 413 ")
    assert wire.endswith(b'{"error":"too_large","reason":"the request entity is too large"}\n')
