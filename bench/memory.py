"""What idle feeds and large attachments cost the hub in memory."""

from __future__ import annotations

import asyncio
import random
import ssl

from bench.connection import Connection
from bench.meter import Meter
from bench.workloads import DATABASE

FEEDS = 500
_BIG = 10 * 1024 * 1024


async def idle_feed(url: str, context: ssl.SSLContext, meter: Meter) -> float:
    """Return the bytes that each of 500 idle continuous feeds holds."""
    target = f"/{DATABASE}/_changes?feed=continuous&since=now&heartbeat=2000"
    warm = await _open_feed(url, context, target)
    before = meter.memory()
    opened = [await _open_feed(url, context, target) for _ in range(FEEDS)]
    await asyncio.gather(*(_heartbeat(one) for one in opened))
    grown = meter.memory() - before
    for connection in (warm, *opened):
        await connection.close()
    return grown / FEEDS


async def _open_feed(url: str, context: ssl.SSLContext, target: str) -> Connection:
    connection = await Connection.connect(url, context)
    await connection.send("GET", target)
    return connection


async def _heartbeat(connection: Connection) -> None:
    await connection.head()
    await connection.reader.readuntil(b"\n\r\n")


async def big_attachment(connection: Connection, meter: Meter) -> dict[str, float]:
    """Return by how many bytes memory grows while 10 MiB go in, and while they come out."""
    content = random.Random(6).randbytes(_BIG)
    target = f"/{DATABASE}/big/content"
    grown = {}
    await connection.request("PUT", f"/{DATABASE}/small/content", content[:1000], "text/plain")
    for name, body in (("PUT", content), ("GET", None)):
        meter.forget_peak()
        before = meter.memory()
        await connection.request(name, target, body, "application/octet-stream")
        grown[name] = float(meter.peak() - before)
    return grown
