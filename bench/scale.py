"""The scale curve: what an operation costs in a database of 10^3 to 10^6 documents, and in one of
10^4 databases.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator

import orjson

from bench.connection import Connection
from bench.meter import Call, Meter
from bench.workloads import documents, fill

SECONDS = 2.0
OPERATIONS = (
    "GET document",
    "PUT document",
    "_bulk_docs, per document",
    "_changes, per row",
    "_all_docs with documents, per row",
    "_revs_diff, per id",
)


async def by_documents(
    connection: Connection, meter: Meter, sizes: list[int]
) -> AsyncIterator[tuple[int, list[float]]]:
    """Yield (documents in the database, microseconds of CPU for each of OPERATIONS)."""
    await connection.request("PUT", "/scale", b"")
    ids: list[str] = []
    for size in sizes:
        ids += await fill(connection, "scale", size - len(ids))
        costs = [await meter.measure([call], SECONDS) for call in await _calls(connection, ids)]
        yield size, [cost.cpu_us for cost in costs]


async def _calls(connection: Connection, ids: list[str]) -> list[Call]:
    chance = random.Random(len(ids))
    fresh = itertools.chain.from_iterable(documents(1000) for _ in itertools.count())
    middle = await connection.request("GET", f"/scale/_changes?limit={len(ids) // 2}")
    since = middle.json()["last_seq"]

    async def get() -> int:
        await connection.request("GET", f"/scale/{chance.choice(ids)}")
        return 1

    async def put() -> int:
        document = next(fresh)
        await connection.request("PUT", f"/scale/{document['_id']}", orjson.dumps(document))
        return 1

    async def bulk() -> int:
        docs = [next(fresh) for _ in range(500)]
        return len(await connection.post("/scale/_bulk_docs", {"docs": docs}))

    async def changes() -> int:
        answer = await connection.request("GET", f"/scale/_changes?since={since}&limit=500")
        return len(answer.json()["results"])

    async def listing() -> int:
        start = f"%22{chance.choice(ids[: len(ids) // 2 + 1])}%22"
        target = f"/scale/_all_docs?include_docs=true&limit=400&startkey={start}"
        return len((await connection.request("GET", target)).json()["rows"])

    async def diff() -> int:
        asked = {docid: ["9-" + "0" * 32] for docid in chance.sample(ids, 500)}
        return len(await connection.post("/scale/_revs_diff", asked))

    return [get, put, bulk, changes, listing, diff]


async def by_databases(
    connection: Connection, meter: Meter, counts: list[int]
) -> AsyncIterator[tuple[int, list[float]]]:
    """Yield (databases on the hub, microseconds of CPU for GET and PUT in one at random)."""
    made = 0
    chance = random.Random(7)
    for count in counts:
        for number in range(made, count):
            await connection.request("PUT", f"/many{number}", b"")
            await connection.request("PUT", f"/many{number}/first", b'{"n":1}')
        made = count

        async def get(count: int = count) -> int:
            await connection.request("GET", f"/many{chance.randrange(count)}/first")
            return 1

        async def put(count: int = count) -> int:
            docid = f"{chance.getrandbits(64):x}"
            await connection.request("PUT", f"/many{chance.randrange(count)}/{docid}", b'{"n":1}')
            return 1

        costs = [await meter.measure([call], SECONDS) for call in (get, put)]
        yield count, [cost.cpu_us for cost in costs]
