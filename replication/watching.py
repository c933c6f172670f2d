"""Feeds of changes at other hubs and servers, held open for as long as somebody pulls from there.

A hub is asked by `_db_updates`, one connection for all of its databases; another server by a long
poll of each database's `_changes`.  What was missed while there was no connection is looked for
when there is one again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import orjson

from acl import sql
from acl.core.errors import HubError
from couchapi import wakeups
from discovery.dialer.broken import BROKEN
from replication import mesh, routing
from replication.core.errors import Retryable
from replication.core.job import database_at
from replication.store import waking
from replication.store.jobs import JOBS

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_HEALTHY_SECONDS = 60.0
_HEARTBEAT_MS = 25_000
_SILENCE = httpx.Timeout(30.0, read=60.0)
_LONGEST_LINE = 64 * 1024
_LONGEST_ANSWER = 1024 * 1024
_TOGETHER_SECONDS = 0.5


async def again_and_again(watch: Callable[[], Awaitable[None]]) -> None:
    """Watch until cancelled: a feed that ends or fails is opened again after a pause."""
    pause = _FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            await watch()
        except (HubError, *BROKEN, ValueError, KeyError, TypeError) as error:
            logger.debug("A feed has ended: %s", error)
        except Exception:  # The outermost line of this feed; there are others.
            logger.exception("A feed has failed.")
        if time.monotonic() - began > _HEALTHY_SECONDS:
            pause = _FIRST_PAUSE
        await asyncio.sleep(pause * random.uniform(0.75, 1.25))
        pause = min(pause * 2, _LONGEST_PAUSE)


async def watch_hub(key: str, peer: str, is_own: bool) -> None:
    """Wake the pulls of what changes at a hub; `is_own`: of this owner."""
    asked = {"feed": "continuous", "since": "now", "heartbeat": str(_HEARTBEAT_MS)}
    async with (
        routing.way_to(key, peer) as way,
        way.client.stream("GET", "/_db_updates", params=asked, timeout=_SILENCE) as answer,
    ):
        if answer.status_code != 200:
            raise Retryable
        if is_own:
            await mesh.take_over_new(way)
        await _wake(partial(waking.wake_peer, key=key))
        known = set[str]()
        async for line in _lines(answer):
            name = str(orjson.loads(line)["db_name"])
            if is_own and name not in known:
                await mesh.take_over_new(way)
                known.add(name)
            await _wake(partial(waking.wake_pull, key=key, there=[name]))


async def _lines(answer: httpx.Response) -> Any:
    left = b""
    async for piece in answer.aiter_bytes():
        *whole, left = (left + piece).split(b"\n")
        if len(left) > _LONGEST_LINE:
            raise Retryable
        # Of a database that changed several times, once is enough.
        for line in dict.fromkeys(whole):
            if line.strip():
                yield line


async def watch_server(number: int, url: str) -> None:
    """Wake the pull `number` of what changes in a database of a server."""
    async with routing.way_to("", url) as way:
        path = f"/{database_at(url, '')}"
        while True:
            described = await _json(way.client, path, {})
            await _wake(partial(waking.wake_link, number=number))
            asked = {"feed": "longpoll", "since": described["update_seq"], "limit": "1"}
            while not (await _json(way.client, f"{path}/_changes", asked))["results"]:
                pass
            await asyncio.sleep(_TOGETHER_SECONDS)


async def _json(client: httpx.AsyncClient, path: str, params: dict[str, Any]) -> Any:
    asked = params | {"timeout": "50000"} if params else {}
    content = b""
    async with client.stream("GET", path, params=asked, timeout=_SILENCE) as answer:
        if answer.status_code != 200:
            raise Retryable
        async for piece in answer.aiter_bytes():
            content += piece
            if len(content) > _LONGEST_ANSWER:
                raise Retryable
    return orjson.loads(content)


async def _wake(job: Callable[..., int]) -> None:
    if await sql.write(partial(job, now=time.time())):
        wakeups.wake(JOBS)
