"""WebSockets on the pages' door, for pages of the same origin only."""

import pytest

from thalihub.tests.server.client import Client

UPGRADE = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


def _masked_text(text):
    mask = b"abcd"
    data = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text.encode()))
    return bytes([0x81, 0x80 | len(data)]) + mask + data


def test_page_of_the_same_origin_talks_over_a_websocket(served):
    with Client(served.pages_port) as client:
        client.request("GET", "/ws", *UPGRADE, "Origin: https://hub")
        status, headers = client.head()
        assert (status, headers["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        for word in ("first", "second"):
            client.send(_masked_text(word))
            assert client.read(2 + len(word)) == bytes([0x81, len(word)]) + word.upper().encode()


@pytest.mark.parametrize("origin", [["Origin: https://evil.example"], ["Origin: http://hub"], []])
def test_page_of_another_origin_is_refused(served, origin):
    with Client(served.pages_port) as client:
        client.request("GET", "/ws", *UPGRADE, *origin)
        assert client.head()[0] == 403


def test_api_has_no_websockets(served):
    with served.client() as client:
        assert client.ask("GET", "/hello", *UPGRADE).status == 200


def test_pages_go_on_after_a_websocket_was_dropped(served):
    client = Client(served.pages_port)
    client.request("GET", "/ws", *UPGRADE, "Origin: https://hub")
    assert client.head()[0] == 101
    client.socket.close()
    with Client(served.pages_port) as other:
        assert other.ask("GET", "/").status == 302


@pytest.mark.parametrize("size", [2**16 + 1, 2**40])
def test_message_that_is_announced_too_large_ends_the_connection(served, size):
    with Client(served.pages_port) as client:
        client.request("GET", "/ws", *UPGRADE, "Origin: https://hub")
        assert client.head()[0] == 101
        client.send(bytes([0x81, 0x80 | 127]) + size.to_bytes(8, "big") + b"abcd" + b"x" * 1000)
        assert client.rest()[:1] in (b"", b"\x88")
