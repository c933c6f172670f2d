"""What is measured: each workload is a function that prepares a database and returns its calls."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import orjson

from bench import packages, views
from bench.connection import Connection
from bench.meter import Call

DATABASE = "bench"
STORED = 10_000
_SIZE = 1024
_BATCH = 500
_fresh = itertools.count(1)

T = TypeVar("T")
Prepare = Callable[[Sequence[Connection]], Awaitable[list[Call]]]


@dataclass(frozen=True)
class Workload:
    """A row of the table: microseconds of server CPU per `unit`."""

    name: str
    unit: str
    prepare: Prepare
    connections: int = 1
    budget: float | None = None
    couch: float | None = None


def documents(count: int) -> list[dict[str, Any]]:
    """Return packages of about a kilobyte, with ids that were never used before."""
    shipped = packages.load()
    first = next(_fresh)
    return [
        _sized(shipped[n % len(shipped)], f"{first:04}-{n:08}-{shipped[n % len(shipped)]['_id']}")
        for n in range(count)
    ]


def _sized(document: dict[str, Any], docid: str) -> dict[str, Any]:
    made = document | {"_id": docid}
    return made | {"padding": "." * max(0, _SIZE - len(orjson.dumps(made)))}


def _ahead(count: int, make: Callable[[], T]) -> Iterator[T]:
    """Yield what `make` makes, the first `count` made before the clock runs."""
    return itertools.chain([make() for _ in range(count)], (make() for _ in itertools.count()))


def revision(text: str) -> str:
    """Return 32 hexadecimal digits."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


async def fill(connection: Connection, database: str, count: int) -> list[str]:
    """Write `count` new documents, and return their ids."""
    ids: list[str] = []
    for start in range(0, count, 1000):
        made = documents(min(1000, count - start))
        answer = await connection.post(f"/{database}/_bulk_docs", {"docs": made})
        assert all("rev" in row for row in answer)
        ids += [document["_id"] for document in made]
    return ids


async def _listed(connection: Connection) -> list[tuple[str, str]]:
    answer = await connection.request("GET", f"/{DATABASE}/_all_docs?limit={STORED}")
    return [(row["id"], row["value"]["rev"]) for row in answer.json()["rows"]]


async def get_document(connections: Sequence[Connection]) -> list[Call]:
    """GET of one of the stored documents, at random."""
    ids = [docid for docid, _ in await _listed(connections[0])]
    chance = random.Random(1)

    def _call(connection: Connection) -> Call:
        async def call() -> int:
            await connection.request("GET", f"/{DATABASE}/{chance.choice(ids)}")
            return 1

        return call

    return [_call(connection) for connection in connections]


async def put_document(connections: Sequence[Connection]) -> list[Call]:
    """PUT of a new document."""
    waiting = itertools.chain.from_iterable(_ahead(10, lambda: documents(1000)))

    def _call(connection: Connection) -> Call:
        async def call() -> int:
            document = next(waiting)
            target = f"/{DATABASE}/{document.pop('_id')}"
            await connection.request("PUT", target, orjson.dumps(document))
            return 1

        return call

    return [_call(connection) for connection in connections]


async def bulk(connections: Sequence[Connection]) -> list[Call]:
    """_bulk_docs of 500 new documents."""
    return [_bulk(connections[0], lambda: {"docs": documents(_BATCH)})]


async def replicated(connections: Sequence[Connection]) -> list[Call]:
    """_bulk_docs with new_edits=false, as replicators write."""

    def _body() -> dict[str, Any]:
        docs = documents(_BATCH)
        for document in docs:
            ids = [revision("2" + document["_id"]), revision("1" + document["_id"])]
            document |= {"_rev": f"2-{ids[0]}", "_revisions": {"start": 2, "ids": ids}}
        return {"docs": docs, "new_edits": False}

    return [_bulk(connections[0], _body)]


def _bulk(connection: Connection, value: Callable[[], dict[str, Any]]) -> Call:
    bodies = _ahead(40, lambda: orjson.dumps(value()))

    async def call() -> int:
        await connection.request("POST", f"/{DATABASE}/_bulk_docs", next(bodies))
        return _BATCH

    return call


async def changes(connections: Sequence[Connection]) -> list[Call]:
    """_changes from the beginning, as replicators ask for it."""
    target = f"/{DATABASE}/_changes?style=all_docs&limit={STORED}"
    return [_rows(connections[0], target, "results")]


async def all_docs(connections: Sequence[Connection]) -> list[Call]:
    """_all_docs with the documents."""
    target = f"/{DATABASE}/_all_docs?include_docs=true&limit=2000"
    return [_rows(connections[0], target, "rows")]


def _rows(connection: Connection, target: str, member: str) -> Call:
    async def call() -> int:
        answer = await connection.request("GET", target)
        return len(answer.json()[member])

    return call


async def bulk_get(connections: Sequence[Connection]) -> list[Call]:
    """_bulk_get of 100 revisions, as PouchDB asks for them."""
    listed = await _listed(connections[0])
    chance = random.Random(2)

    async def call() -> int:
        docs = [{"id": docid, "rev": rev} for docid, rev in chance.sample(listed, 100)]
        target = f"/{DATABASE}/_bulk_get?revs=true&latest=true"
        answer = await connections[0].post(target, {"docs": docs})
        assert all("ok" in row["docs"][0] for row in answer["results"])
        return 100

    return [call]


async def revs_diff(connections: Sequence[Connection]) -> list[Call]:
    """_revs_diff of 500 ids, half of them known."""
    listed = await _listed(connections[0])
    chance = random.Random(3)

    async def call() -> int:
        known = dict(chance.sample(listed, 250))
        unknown = {f"unknown{docid}": rev for docid, rev in known.items()}
        asked = {docid: [rev] for docid, rev in (known | unknown).items()}
        answer = await connections[0].post(f"/{DATABASE}/_revs_diff", asked)
        assert answer.keys() == unknown.keys()
        return 500

    return [call]


ATTACHMENT = 4 * 1024 * 1024
_MEBIBYTES = ATTACHMENT // (1024 * 1024)


async def attachment_in(connections: Sequence[Connection]) -> list[Call]:
    """PUT of an attachment of 4 MiB; the unit is a mebibyte."""
    content = random.Random(4).randbytes(ATTACHMENT)

    async def call() -> int:
        target = f"/{DATABASE}/in{next(_fresh)}/content"
        await connections[0].request("PUT", target, content, "application/octet-stream")
        return _MEBIBYTES

    return [call]


async def attachment_out(connections: Sequence[Connection]) -> list[Call]:
    """GET of an attachment of 4 MiB; the unit is a mebibyte."""
    content = random.Random(5).randbytes(ATTACHMENT)
    target = f"/{DATABASE}/out{next(_fresh)}/content"
    await connections[0].request("PUT", target, content, "application/octet-stream")

    async def call() -> int:
        assert len((await connections[0].request("GET", target)).body) == ATTACHMENT
        return _MEBIBYTES

    return [call]


# Budgets and what CouchDB 3.5 needs on the same kind of machine: microseconds.
WORKLOADS = (
    Workload("GET document", "request", get_document, 4, 330, 950),
    Workload("PUT document, 8 at once", "request", put_document, 8, 650, 2400),
    Workload("_bulk_docs, 500", "document", bulk, 1, 40, 90),
    Workload("_bulk_docs, new_edits=false", "document", replicated, 1, 40, 90),
    Workload("_changes", "row", changes, 1, 5, 18),
    Workload("_all_docs with documents", "document", all_docs, 1, 15, 58),
    Workload("_bulk_get, 100", "document", bulk_get, 1, 15, 63),
    Workload("_revs_diff, 500", "id", revs_diff, 1, 6, 17),
    Workload("view build", "document", partial(views.build, DATABASE), 1, 50, None),
    Workload("view rows", "row", partial(views.rows, DATABASE), 1, 4, None),
    Workload("view groups of all rows", "request", partial(views.groups, DATABASE), 1, None, None),
    Workload("_index build", "document", partial(views.mango_build, DATABASE), 1, 27, None),
    Workload("_find by an index", "document", partial(views.found, DATABASE), 1, None, None),
    Workload(
        "_find without an index", "document", partial(views.looked_through, DATABASE), 1, 40, None
    ),
    Workload("attachment in", "MiB", attachment_in, 1, 4000, None),
    Workload("attachment out", "MiB", attachment_out, 1, 2000, None),
)
