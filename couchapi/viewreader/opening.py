"""From the name of a view to its rows: the design document, the index, and its build."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import orjson

from acl import sql
from couchapi import indexer, javascript
from couchapi.core import mapreduce, sortkey
from couchapi.core.errors import BadRequest, NotFound
from couchapi.core.mapreduce import Group, View
from couchapi.core.viewparams import ViewQuery
from couchapi.indexer import IndexGone, Mapped, Plan, Source
from couchapi.javascript import Emitted, Failure, Program
from couchapi.store import databases, documents, indexes
from couchapi.store.databases import DatabaseRow
from couchapi.store.indexes import Entry, Fault, IndexState

_TRIES = 3


@dataclass(frozen=True)
class Design:
    """The views of a design document; `index` is None as long as nobody has made it."""

    database: DatabaseRow
    group: Group
    index: IndexState | None

    @property
    def program(self) -> Program:
        """What the engine runs: no two databases share it."""
        return Program(str(self.database.id), self.group.functions)

    @property
    def plan(self) -> Plan:
        """How its rows are made."""
        return Plan(
            partial(_map, self.program, self.group.maps),
            include_design=self.group.include_design,
            local_seq=self.group.local_seq,
        )


@dataclass(frozen=True)
class OpenView:
    """A view, and the index with its rows."""

    design: Design
    view: View
    index: IndexState

    @property
    def number(self) -> int:
        """Which of the index's rows are the view's."""
        return self.view.number


def design(connection: sql.Sql, db_name: str, docid: str) -> Design:
    """Read the views of a design document; raises DatabaseMissing, NotFound, BadRequest."""
    database = databases.get(connection, db_name)
    found = documents.find(connection, db_name, docid)
    if found.deleted:
        raise NotFound("deleted")
    group = _group(found.body)
    return Design(database, group, indexes.find(connection, database.id, group.signature))


async def open_view(
    db_name: str, docid: str, name: str, query: ViewQuery
) -> tuple[OpenView, ViewQuery]:
    """Return a view, brought up to date first if the query wants that, and the query as it fits.

    Raises DatabaseMissing, NotFound, BadRequest, and what its functions are refused for.
    """
    for left in reversed(range(_TRIES)):
        found = await sql.point(partial(design, db_name=db_name, docid=docid))
        view = found.group.view(name)
        if found.group.language != "javascript":
            raise BadRequest(f"Views in {found.group.language} are not supported.")
        checked = query.checked(has_reduce=view.reduce is not None)
        if checked.reduce:
            mapreduce.builtin(view.reduce or "")
        try:
            return OpenView(found, view, await _current(found, query.update)), checked
        except IndexGone:  # It was cleaned up, or forgotten purges made it useless.
            if not left:
                raise
    raise AssertionError("unreachable")


async def _current(found: Design, update: str) -> IndexState:
    index = found.index
    if index is None:
        index = await sql.write(
            partial(
                indexes.make,
                database_id=found.database.id,
                signature=found.group.signature,
                language=found.group.language,
            )
        )
    if update == "true":
        return await indexer.bring_up_to_date(index, found.plan, found.database.update_seq)
    if update == "lazy" and index.seq < found.database.update_seq:
        indexer.build(index, found.plan)
    return index


@functools.lru_cache(maxsize=256)
def _group(body: bytes) -> Group:
    return mapreduce.group(orjson.loads(body))


async def _map(program: Program, maps: Sequence[int], sources: Sequence[Source]) -> list[Mapped]:
    """Run the map functions of a design document on these documents."""
    results = await javascript.map_documents(program, [source.text for source in sources])
    return [
        _mapped(source.docid, maps, result)
        for source, result in zip(sources, results, strict=False)
    ]


def _mapped(docid: str, maps: Sequence[int], result: Emitted | Failure) -> Mapped:
    if isinstance(result, Failure):
        return Mapped((), Fault(docid, *result))
    encode, parse = sortkey.encode, mapreduce.parse
    entries = [
        Entry(view, encode(parse(key)), docid, n, key, value)
        for view, place in enumerate(maps)
        for n, (key, value) in enumerate(result[place])
    ]
    return Mapped(entries, Fault(docid, *result.failure) if result.failure else None)
