"""More connections than there may be: those that only wait make room, and nobody is shut out."""

import contextlib

import pytest

from thalihub.tests.server.certificates import write_chain
from thalihub.tests.server.client import Client

pytestmark = pytest.mark.slow  # The server's start.


def _feed(served, folder=None):
    client = Client(served.port, folder or served.folder)
    client.request("GET", "/feed")
    client.head()
    assert client.chunk() == b"first\n"
    return client


def _is_open(client):
    client.socket.settimeout(0.2)
    try:
        return client.socket.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def test_connection_that_says_nothing_makes_room(crowded):
    with contextlib.ExitStack() as stack:
        feed = stack.enter_context(_feed(crowded))
        silent = [stack.enter_context(crowded.client(certificate=False)) for _ in range(3)]
        with crowded.client() as last:
            assert last.ask("GET", "/hello").status == 200
            assert [_is_open(one) for one in (feed, *silent)] == [True, False, True, True]


def test_flood_of_connections_does_not_end_a_feed(crowded):
    with _feed(crowded) as feed, contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(crowded.client(certificate=False))
        with crowded.client() as last:
            assert last.ask("GET", "/hello").status == 200
        assert _is_open(feed)


def test_who_holds_the_most_feeds_makes_room(crowded, tmp_path):
    write_chain(tmp_path, "client")
    with contextlib.ExitStack() as stack:
        single = stack.enter_context(_feed(crowded, tmp_path))
        feeds = [stack.enter_context(_feed(crowded)) for _ in range(3)]
        with crowded.client() as last:
            assert last.ask("GET", "/hello").status == 200
            assert sum(_is_open(one) for one in feeds) == 2
            assert _is_open(single)
