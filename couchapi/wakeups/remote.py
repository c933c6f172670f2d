"""Wake-ups between the processes of several machines: one Redis channel."""

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
_log = logging.getLogger(__name__)
_tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}


def receive(wake: Callable[[str], None]) -> None:
    """Call `wake` with each database name that is published, on the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _tasks:
        _tasks[loop] = loop.create_task(_subscribe(wake))


def send(db_name: str) -> None:
    """Publish, aside: a slow Redis must not hold up the answer to a write."""
    _publisher().submit(_publish, db_name)


async def _subscribe(wake: Callable[[str], None]) -> None:
    while True:
        try:
            await _read(wake)
        except (redis.RedisError, OSError) as error:
            _log.warning("No wake-ups from Redis, trying again: %s", error)
            await asyncio.sleep(_SECONDS_TO_RECONNECT)


async def _read(wake: Callable[[str], None]) -> None:
    async with redis.asyncio.from_url(settings.REDIS_URL) as client, client.pubsub() as channel:
        await channel.subscribe(_CHANNEL)
        async for message in channel.listen():
            if message["type"] == "message":
                wake(message["data"].decode())


def _publish(db_name: str) -> None:
    try:
        _client().publish(_CHANNEL, db_name)
    except (redis.RedisError, OSError) as error:
        _log.warning("A wake-up could not be published: %s", error)


@functools.cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL)


@functools.cache
def _publisher() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="wakeups")
