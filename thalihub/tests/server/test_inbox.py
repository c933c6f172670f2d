"""The body's way to the application: whole, in order, bounded."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalihub.frontend.inbox import HIGH, Inbox


class Source:
    """Records what the inbox asks of its connection."""

    def __init__(self):
        self.reading, self.invited = True, 0

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def invite_body(self):
        self.invited += 1


async def _all(inbox):
    parts = []
    while True:
        message = await inbox.receive()
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


@given(st.lists(st.binary(max_size=9)))
@pytest.mark.slow
def test_what_is_put_is_received_in_order(parts):
    async def run():
        inbox = Inbox(Source(), None)
        reader = asyncio.create_task(_all(inbox))
        for part in parts:
            inbox.put(part)
            await asyncio.sleep(0)
        inbox.end()
        return await reader

    assert asyncio.run(run()) == b"".join(parts)


async def test_request_without_body_is_complete_at_once():
    inbox = Inbox(Source(), 0)
    assert await inbox.receive() == {"type": "http.request", "body": b"", "more_body": False}


async def test_after_the_body_only_the_end_of_the_client_is_news():
    inbox = Inbox(Source(), 0)
    await inbox.receive()
    waiting = asyncio.create_task(inbox.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.disconnect()
    assert await waiting == {"type": "http.disconnect"}


async def test_connection_is_not_read_while_much_waits():
    source = Source()
    inbox = Inbox(source, None)
    inbox.put(b"x" * HIGH)
    assert source.reading
    inbox.put(b"x")
    assert not source.reading
    assert len((await inbox.receive())["body"]) == HIGH + 1
    assert source.reading


async def test_body_is_invited_once_and_only_when_wanted():
    source = Source()
    inbox = Inbox(source, 2)
    assert source.invited == 0
    waiting = asyncio.create_task(inbox.receive())
    await asyncio.sleep(0)
    inbox.put(b"a")
    await waiting
    waiting = asyncio.create_task(inbox.receive())
    await asyncio.sleep(0)
    assert source.invited == 1
    waiting.cancel()


async def test_body_that_is_here_needs_no_invitation():
    source = Source()
    inbox = Inbox(source, 1)
    inbox.put(b"a")
    inbox.end()
    assert (await inbox.receive())["body"] == b"a"
    assert source.invited == 0


def test_discarded_body_is_counted_and_dropped():
    source = Source()
    inbox = Inbox(source, 3 * HIGH)
    inbox.put(b"x" * 2 * HIGH)
    inbox.discard()
    assert source.reading
    inbox.put(b"x" * HIGH)
    assert (source.reading, inbox.left) == (True, 0)
