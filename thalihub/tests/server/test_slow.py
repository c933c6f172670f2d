"""Clients that are slow on purpose are cut; the tests wait for the connection to end."""

import ssl

import pytest

pytestmark = pytest.mark.slow


def test_connection_that_says_nothing_ends(impatient):
    with impatient.client() as client:
        assert client.rest() == b""


def test_headers_that_trickle_are_cut(impatient):
    with impatient.client() as client:
        client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n")
        client.socket.settimeout(0.05)
        assert b"408" in _trickle(client, b"X: y\r\n")


def test_body_that_trickles_is_cut(impatient):
    with impatient.client() as client:
        client.request("PUT", "/digest", "Content-Length: 50000")
        client.socket.settimeout(0.05)
        assert b"408" in _trickle(client, b"x")


def test_body_that_makes_progress_is_not_cut(impatient):
    with impatient.client() as client:
        client.request("PUT", "/digest", "Content-Length: 96000")
        for _ in range(6):
            client.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.socket.recv(1)
            client.socket.settimeout(20)
            client.send(b"x" * 16_000)
        # All in all it took three times as long as one step may take.
        assert client.answer().json()["bytes"] == 96_000


def test_rest_of_a_body_that_never_comes_is_not_waited_for(impatient):
    with impatient.client(small_window=True) as client:
        client.request("GET", f"/whole?bytes={2**21}", "Content-Length: 5")
        assert len(client.answer().body) == 2**21
        assert client.rest() == b""


def test_idle_connection_ends_without_a_word(impatient):
    with impatient.client() as client:
        assert client.ask("GET", "/hello").status == 200
        assert client.rest() == b""


def test_reader_who_never_reads_is_cut(impatient):
    opened = impatient.state()["open"]
    with impatient.client(small_window=True) as client:
        client.request("GET", "/flood?mb=64")
        client.head()
        while True:  # The server cuts it: what is left in the buffers is far less than 64 MB.
            client.socket.settimeout(0.05)
            if _is_cut(impatient):
                break
        client.socket.settimeout(20)
        assert len(client.rest()) < 16 * 2**20
    assert impatient.state()["open"] == opened


def test_sender_who_never_reads_the_refusal_is_cut(impatient):
    opened = impatient.state()["open"]
    with impatient.client() as client:
        client.request("PUT", "/refused", "Transfer-Encoding: chunked")
        block = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
        with pytest.raises((ssl.SSLError, BrokenPipeError, ConnectionResetError)):
            while True:
                client.socket.sendall(block)
    assert impatient.state()["open"] == opened


def _trickle(client, drop):
    answer = b""
    while True:
        try:
            client.socket.sendall(drop)
            data = client.socket.recv(4096)
            if not data:
                return answer
            answer += data
        except TimeoutError:
            continue
        except OSError:
            return answer


def _is_cut(served):
    return served.state()["connections"] == 1
