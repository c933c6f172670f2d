"""What the frontend refuses at the door, each time in CouchDB's form and without a stop."""

import pytest

pytestmark = pytest.mark.slow  # The server's start.

_LONG = "x" * 17_000


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /hello HTTP/1.1\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET /echo/%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /echo/%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /echo/%ED%A0%80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /echo/%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /echo/\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET echo HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET ftp://a/echo HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /echo#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /hello\r\n\r\n", 400),
        (b"GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        (b"G T /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (
            b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx1\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400),
        (
            b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: identity\r\n\r\nx",
            400,
        ),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nOrigin: https://a\r\nOrigin: https://b\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % _LONG.encode(), 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % _LONG.encode(), 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\n" + b"X: 0123456789\r\n" * 1500 + b"\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n", 413),
        (b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n" % (b"9" * 5000), 400),
    ],
)
def test_malformed_request_is_refused_and_ends_the_connection(served, request_bytes, status):
    with served.client() as client:
        client.send(request_bytes)
        answer = client.answer()
        assert answer.status == status
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == {"error", "reason"}
        assert answer.headers["connection"] == "close"
        assert client.rest() == b""


def test_declared_body_over_the_limit_is_refused_before_any_of_it_is_sent(impatient):
    with impatient.client() as client:
        answer = client.ask("PUT", "/echo", "Content-Length: 100001")
        assert (answer.status, answer.json()["error"]) == (413, "too_large")


def test_chunked_body_over_the_limit_is_refused(impatient):
    with impatient.client() as client:
        client.request("PUT", "/digest", "Transfer-Encoding: chunked")
        for _ in range(2):
            client.send(b"%x\r\n%b\r\n" % (60_000, b"x" * 60_000))
        assert client.answer().status == 413


def test_body_within_the_limit_is_taken(impatient):
    with impatient.client() as client:
        answer = client.ask("PUT", "/digest", "Content-Length: 100000", body=b"x" * 100_000)
        assert answer.json()["bytes"] == 100_000


def test_request_hidden_in_a_refused_body_is_not_served(served):
    hidden = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    with served.client() as client:
        client.request("PUT", "/refused", "Content-Length: 900000", body=hidden * 100)
        assert client.answer().status == 403
        assert client.rest() == b""


def test_what_follows_the_last_chunk_is_no_part_of_the_headers(served):
    with served.client() as client:
        client.request("PUT", "/echo", "Transfer-Encoding: chunked")
        client.send(b"1;a=b\r\nx\r\n0\r\nX-Test: y\r\nContent-Length: 90\r\n\r\n")
        seen = client.answer().json()
        assert (seen["body"], seen["meta"]) == ("x", None)
        assert client.ask("GET", "/hello").status == 200


def test_folded_header_is_one_header(served):
    with served.client() as client:
        client.request("GET", "/echo", "X-Test: a\r\n Transfer-Encoding: chunked")
        assert client.answer().json()["meta"] == "a Transfer-Encoding: chunked"


@pytest.mark.slow
def test_requests_behind_an_answer_that_goes_on_wait_at_the_client(served):
    with served.client(small_window=True) as client:
        client.request("GET", "/flood?mb=1000")
        client.head()
        client.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += client.socket.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        assert sent < 16 * 2**20
