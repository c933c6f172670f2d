"""`python -m bench.hosts`: what one web host does on PostgreSQL, and what a second one adds.

All share the cores of one machine, and so does the client: read ratios, and what a request costs
whom.  PostgreSQL keeps each commit durable, as it does by default.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import orjson

from bench import report
from bench.connection import Connection
from bench.meter import Call, Meter
from bench.workloads import DATABASE, documents, fill, get_document
from thalihub.tests.hosts import another
from thalihub.tests.hubprocess import HubProcess
from thalihub.tests.postgres import PostgresServer
from thalihub.tests.redisserver import RedisServer

Way = Callable[[Sequence[Connection]], Awaitable[list[Call]]]

CONNECTIONS = 16
DATABASES = 8
STORED = 2000
_HEAD = ("what", "web hosts", "per second", "to the first line", "web CPU µs", "PostgreSQL CPU µs")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="bench.hosts", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="how often; the middle one counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name, ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(durable=True))
        hosts = _hosts(stack, Path(name), postgres)
        rows = asyncio.run(_run(hosts, postgres, options.seconds, options.rounds))
    print(report.table(_HEAD, rows))


def _hosts(stack: ExitStack, folder: Path, postgres: PostgresServer) -> list[HubProcess]:
    redis = RedisServer(folder)
    redis.start()
    stack.callback(redis.stop)
    shared = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
    shared |= {"HUB_ROLES": "web", "HUB_LOG_LEVEL": "WARNING"}
    one, two = (HubProcess(folder / name, **shared) for name in ("one", "two"))
    stack.enter_context(one)
    return [one, stack.enter_context(another(one, two))]


def _writes(databases: int) -> Way:
    async def way(connections: Sequence[Connection]) -> list[Call]:
        fresh = itertools.chain.from_iterable(documents(1000) for _ in itertools.count())

        def writing(connection: Connection, db_name: str) -> Call:
            async def call() -> int:
                document = next(fresh)
                target = f"/{db_name}/{document['_id']}"
                await connection.request("PUT", target, orjson.dumps(document))
                return 1

            return call

        return [
            writing(connection, f"shelf{number // 2 % databases}")
            for number, connection in enumerate(connections)
        ]

    return way


async def _run(
    hosts: Sequence[HubProcess], postgres: PostgresServer, seconds: float, rounds: int
) -> list[list[str]]:
    ways = {
        "reading documents": get_document,
        "writing into one database": _writes(1),
        f"writing into {DATABASES} databases": _writes(DATABASES),
    }
    await _prepare(hosts[0])
    rows = []
    for what, way in ways.items():
        measured: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
        for _ in range(rounds):  # In turns: what else the machine does meets both.
            for count, so_far in measured.items():
                so_far.append(await _measured(hosts[:count], postgres, way, seconds))
        first = 0.0
        for count, so_far in measured.items():
            speed, web, server = sorted(so_far)[rounds // 2]
            first = first or speed
            figures = (f"{speed:.0f}", f"{speed / first:.2f}", f"{web:.0f}", f"{server:.0f}")
            rows.append([what, str(count), *figures])
    return rows


async def _prepare(host: HubProcess) -> None:
    connection = await Connection.connect(host.url, host.context(host.owner))
    for name in (DATABASE, *(f"shelf{number}" for number in range(DATABASES))):
        await connection.request("PUT", f"/{name}", b"")
    await fill(connection, DATABASE, STORED)
    await connection.close()


async def _measured(
    hosts: Sequence[HubProcess], postgres: PostgresServer, way: Way, seconds: float
) -> tuple[float, float, float]:
    """Return units a second, and the microseconds that each cost the hosts and PostgreSQL."""
    served = [hosts[number % len(hosts)] for number in range(CONNECTIONS)]
    opened = [await Connection.connect(one.url, one.context(one.owner)) for one in served]
    web = Meter([process for host in hosts for process in host.web_processes()])
    server = Meter(postgres.processes())
    before = server.cpu()
    cost = await web.measure(await way(opened), seconds)
    used = server.cpu() - before
    for connection in opened:
        await connection.close()
    return cost.per_second, cost.cpu_us, used / cost.units * 1e6


if __name__ == "__main__":
    main()
