"""Wake-ups between the processes of several machines: one Redis channel.

Redis may go and come back: that is a warning in the log.  While it is away, feeds look by
themselves every two seconds, and once more when it is back.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import redis
import redis.asyncio
from django.conf import settings

_CHANNEL = "hub.wakeups"
_SECONDS_TO_RECONNECT = 2.0
_SECONDS_TO_ANSWER = 5.0
_log = logging.getLogger(__name__)


class Channel:
    """The connections of this process to one Redis."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._subscription: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="wakeups")
        self._waiting: set[str] = set()
        self._client = redis.Redis.from_url(
            url, **settings.REDIS_SOCKET, socket_timeout=_SECONDS_TO_ANSWER
        )

    def receive(self, wake: Callable[[str], None], wake_all: Callable[[], None]) -> None:
        """Call `wake` with each database name that is published, on the running loop.

        `wake_all` is called when the connection stands, also again, and every two seconds while
        there is none: messages may be missing.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._subscription = loop.create_task(self._subscribe(wake, wake_all))

    def send(self, db_name: str) -> None:
        """Publish, aside: a slow Redis must not hold up the answer to a write."""
        if db_name not in self._waiting:  # What waits to be sent says the same.
            self._waiting.add(db_name)
            self._publisher.submit(self._publish, db_name)

    async def close(self) -> None:
        """Receive nothing more, and send what is still to be sent."""
        if self._subscription is not None:
            self._subscription.cancel()
            await asyncio.gather(self._subscription, return_exceptions=True)
        self._subscription = self._loop = None
        await asyncio.to_thread(self._publisher.shutdown)
        self._client.close()

    async def _subscribe(self, wake: Callable[[str], None], wake_all: Callable[[], None]) -> None:
        while True:
            try:
                await self._read(wake, wake_all)
            except (redis.RedisError, OSError) as error:
                _log.warning("No wake-ups from Redis, trying again: %s", error)
                wake_all()
            await asyncio.sleep(_SECONDS_TO_RECONNECT)

    async def _read(self, wake: Callable[[str], None], wake_all: Callable[[], None]) -> None:
        client = redis.asyncio.from_url(self._url, **settings.REDIS_SOCKET)
        async with client, client.pubsub() as channel:
            await channel.subscribe(_CHANNEL)
            async for message in channel.listen():
                if message["type"] == "subscribe":
                    wake_all()
                elif message["type"] == "message":
                    wake(message["data"].decode())

    def _publish(self, db_name: str) -> None:
        self._waiting.discard(db_name)
        try:
            self._client.publish(_CHANNEL, db_name)
        except (redis.RedisError, OSError) as error:
            _log.warning("A wake-up could not be published: %s", error)


@functools.cache
def channel() -> Channel:
    """Return the channel of this process."""
    return Channel(settings.REDIS_URL)
