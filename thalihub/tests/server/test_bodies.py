"""Bodies of any size, in and out, cost little memory; a caller without right has nothing read."""

import hashlib
import threading

import pytest

from thalihub.tests.hubprocess import eventually

pytestmark = pytest.mark.slow  # The server's start.

MB = 2**20


def test_nothing_of_a_refused_upload_is_read(served):
    before = served.state()
    with served.client() as client:
        client.request("PUT", "/refused", f"Content-Length: {100 * MB}")
        answer = client.answer()
    assert (answer.status, answer.headers["connection"]) == (403, "close")
    assert served.state()["bodies"] == before["bodies"]


def test_client_that_sends_100_mb_without_right_gets_its_answer_and_costs_no_memory(served):
    before = served.state()["rss"]
    with served.client() as client:
        client.request("PUT", "/refused", f"Content-Length: {100 * MB}")
        sender = threading.Thread(target=_send_as_far_as_possible, args=(client, 100 * MB))
        sender.start()
        assert client.answer().status == 403
        during = served.state()["rss"]
    sender.join()
    assert during - before < 8_000


def test_upload_of_100_mb_is_streamed(served):
    before = served.state()["rss"]
    block, hashed = bytes(range(256)) * 4096, hashlib.sha256()
    with served.client() as client:
        client.request("PUT", "/digest", f"Content-Length: {100 * MB}")
        for _ in range(100):
            hashed.update(block)
            client.send(block)
        assert client.answer().json() == {"bytes": 100 * MB, "sha256": hashed.hexdigest()}
        assert client.ask("GET", "/hello").status == 200
    assert served.state()["rss"] - before < 20_000


def test_400_mb_to_a_slow_reader_wait_at_the_source(served):
    before = served.state()["rss"]
    with served.client(small_window=True) as client:
        client.request("GET", "/flood?mb=400")
        assert client.head()[0] == 200
        client.read(100_000)
        _settled(served)
        assert served.state()["rss"] - before < 20_000


def test_answer_in_one_piece_of_10_mb_arrives_whole_and_the_connection_stays(served):
    with served.client() as client:
        answer = client.ask("GET", f"/whole?bytes={10 * MB}")
        assert answer.headers["content-length"] == str(10 * MB)
        assert answer.body == b"x" * 10 * MB
        assert client.ask("GET", "/hello").status == 200


def test_whole_answer_to_a_slow_reader_waits_without_a_copy(served):
    with served.client(small_window=True) as client:
        client.request("GET", f"/whole?bytes={10 * MB}")
        client.head()
        before = served.state()["rss"]
        assert client.read(10 * MB) == b"x" * 10 * MB
        assert served.state()["rss"] <= before + 1_000


def test_feed_ends_when_its_client_leaves(served):
    before = served.state()
    with served.client() as client:
        client.request("GET", "/feed")
        client.head()
        assert client.chunk() == b"first\n"
        assert served.state()["open"] == before["open"] + 1
    eventually(lambda: served.state()["closed"] == before["closed"] + 1, what="the feed is closed")
    # The request that asks is the only one left.
    eventually(lambda: served.state()["tasks"] == 1, what="its task is gone")


def test_client_that_leaves_in_the_middle_of_its_body_leaves_nothing_behind(served):
    with served.client() as client:
        client.request("PUT", "/digest", "Content-Length: 1000", body=b"half")
    eventually(lambda: served.state()["tasks"] == 1, what="its task is gone")


def _send_as_far_as_possible(client, count):
    block = b"x" * 65536
    try:
        for _ in range(count // len(block)):
            client.socket.sendall(block)
    except OSError:
        return


def _settled(served):
    """Return when the server has stopped working: its CPU time stands still."""
    last = [served.state()["cpu"]]

    def stands() -> bool:
        spent = served.state()["cpu"] - last[0]
        last[0] += spent
        return spent < 0.01

    eventually(stands, what="the server waits for its reader", pause=0.1)
