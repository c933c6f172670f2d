"""`make bench`: starts a hub and prints what each operation costs it, beside its budget.

CPU is that of the hub's web processes, in microseconds per request or row.  The yardstick, a
trivial ASGI application on the same server, tells how fast the machine was in this very run:
compare ratios, not numbers of different machines.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil

from bench import memory, pouchdb, replication, report, scale
from bench.connection import Connection
from bench.meter import Cost, Meter
from bench.workloads import DATABASE, STORED, WORKLOADS, Workload, fill
from thalihub.tests.hubprocess import SOURCE, HubProcess

_HEAD = (
    "operation",
    "unit",
    "CPU µs",
    "budget",
    "CouchDB 3.5",
    "times ahead",
    "units/s",
    "to the last run",
)
_TRIVIAL = "trivial ASGI application"
_MORE_HEAD = ("what", "measured", "limit")


def main() -> None:
    """Read the arguments and run."""
    options = _options()
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as name,
        HubProcess(Path(name), HUB_LOG_LEVEL="WARNING") as hub,
    ):
        asyncio.run(_run(hub, options, Path(name)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--only", default="", help="measure only what has this in its name")
    parser.add_argument("--stored", type=int, default=STORED, help="documents in the database")
    parser.add_argument("--pouchdb", type=int, default=20_000, help="documents; 0 leaves it out")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory out")
    parser.add_argument("--scale", action="store_true", help="draw the scale curve as well")
    parser.add_argument("--documents", type=int, default=10**6, help="the end of that curve")
    parser.add_argument("--databases", type=int, default=10**4, help="the end of the other curve")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    return parser.parse_args()


async def _run(hub: HubProcess, options: argparse.Namespace, folder: Path) -> None:
    _show("operations", await _operations(hub, options), options)
    # Memory that a hub has once used and keeps would hide what it takes anew.
    hub.restart()
    meter = Meter(hub.web_processes())
    if not options.only:
        _show("more", await _more(hub, meter, options, folder), options)
    if options.scale:
        await _scale(hub, meter, options)


def _show(name: str, text: str, options: argparse.Namespace) -> None:
    print("\n" + text, flush=True)
    if options.write:
        report.write(name, text)


async def _operations(hub: HubProcess, options: argparse.Namespace) -> str:
    rows = []
    meter = Meter(hub.web_processes())
    with _yardstick(hub) as (url, yardstick):
        async with _connected(hub, 4, url) as connections:
            cost = await yardstick.measure([_get(one) for one in connections], options.seconds)
            trivial = Workload(_TRIVIAL, "request", _none)
            # The other runs' figures are as this machine is today.
            recorded = report.Recorded(cost.cpu_us)
            rows.append(_row(trivial, cost, recorded))
    async with _connected(hub, 1) as (connection,):
        await connection.request("PUT", f"/{DATABASE}", b"")
        await fill(connection, DATABASE, options.stored)
    for workload in WORKLOADS:
        if options.only in workload.name:
            async with _connected(hub, workload.connections) as connections:
                calls = await workload.prepare(connections)
                cost = await meter.measure(calls, options.seconds)
                rows.append(_row(workload, cost, recorded))
            print(rows[-1], file=sys.stderr, flush=True)
    if options.write:
        recorded.write()
    return report.table(_HEAD, rows)


def _row(workload: Workload, cost: Cost, recorded: report.Recorded) -> list[str]:
    return [
        workload.name,
        workload.unit,
        report.number(cost.cpu_us),
        report.number(workload.budget),
        report.number(workload.couch),
        report.times(workload.couch, cost.cpu_us),
        report.number(cost.per_second),
        recorded.compare(workload.name, cost.cpu_us),
    ]


async def _none(_: object) -> list:
    return []


def _get(connection: Connection):  # noqa: ANN202 - a meter.Call
    async def call() -> int:
        await connection.request("GET", "/")
        return 1

    return call


@contextlib.contextmanager
def _yardstick(hub: HubProcess) -> Iterator[tuple[str, Meter]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.yardstick", str(hub.data)],
        cwd=SOURCE,
        env=hub.environment | {"DJANGO_SETTINGS_MODULE": "thalihub.settings"},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield f"https://127.0.0.1:{port}", Meter([psutil.Process(process.pid)])
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextlib.asynccontextmanager
async def _connected(
    hub: HubProcess, count: int, url: str | None = None
) -> AsyncIterator[list[Connection]]:
    context = hub.context(hub.owner)
    connections = [await Connection.connect(url or hub.url, context) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            await connection.close()


async def _more(hub: HubProcess, meter: Meter, options: argparse.Namespace, folder: Path) -> str:
    rows = []
    if not options.no_memory:
        async with _connected(hub, 1) as (connection,):
            grown = await memory.big_attachment(connection, meter)
        for name, size in grown.items():
            limit = "below 20 MB"
            rows.append([f"memory growth, {name} of 10 MiB", f"{size / 1e6:.1f} MB", limit])
        feed = await memory.idle_feed(hub.url, hub.context(hub.owner), meter)
        rows.append(["memory of an idle feed, of 500", f"{feed / 1000:.1f} KB", "below 100 KB"])
    if options.pouchdb:
        limit = f"CouchDB {pouchdb.COUCH_PER_SECOND:,}/s"
        for name, cost in pouchdb.replicate(hub, meter, folder, options.pouchdb).items():
            what = f"PouchDB {name}, {options.pouchdb:,} documents"
            measured = f"{cost.per_second:,.0f}/s, {cost.cpu_us:.0f} µs of the hub's CPU each"
            rows.append([what, measured, limit])
        rows += await asyncio.to_thread(_between_hubs, hub, folder, options.pouchdb)
    return report.table(_MORE_HEAD, rows)


def _between_hubs(hub: HubProcess, folder: Path, count: int) -> list[list[str]]:
    between = replication.measure(hub, folder, count)
    rows = [
        [
            f"{count:,} documents {way} between hubs",
            f"{cost.per_second:,.0f}/s, {cost.cpu_us:.0f} µs of both hubs' CPU each",
            f"above {replication.PER_SECOND:,}/s",
        ]
        for way, cost in (("pulled", between.pulled), ("pushed", between.pushed))
    ]
    delays, idle = between.delays, between.idle
    late = delays[int(len(delays) * 0.95)]
    arrives = f"{delays[len(delays) // 2]:.0f} ms, 95 of 100 within {late:.0f} ms"
    waits = f"{idle.megabytes:.0f} MB more, {idle.percent:.1f} % of a core"
    allowed = f"below {replication.IDLE_MB} MB and {replication.IDLE_PERCENT} %"
    return [
        *rows,
        ["a change arrives at another hub", arrives, f"below {replication.ARRIVES_MS} ms"],
        [f"{idle.jobs} idle continuous jobs", waits, allowed],
    ]


async def _scale(hub: HubProcess, meter: Meter, options: argparse.Namespace) -> None:
    sizes = [10**power for power in range(3, 7) if 10**power <= options.documents]
    counts = [10**power for power in range(1, 5) if 10**power <= options.databases]
    async with _connected(hub, 1) as (connection,):
        rows = [
            [f"{size:,}", *map(report.number, costs)]
            async for size, costs in scale.by_documents(connection, meter, sizes)
        ]
        _show("documents", report.table(("documents", *scale.OPERATIONS), rows), options)
        rows = [
            [f"{count:,}", *map(report.number, costs)]
            async for count, costs in scale.by_databases(connection, meter, counts)
        ]
        head = ("databases", "GET document", "PUT document")
        _show("databases", report.table(head, rows), options)


if __name__ == "__main__":
    main()
