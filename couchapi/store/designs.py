"""Design documents, and the indexes of the views that they define."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from acl.sql import Sql
from couchapi.core import mangoindex, mapreduce
from couchapi.core.mangoindex import Index
from couchapi.core.visibility import Visible
from couchapi.store import databases, documents, indexes
from couchapi.store.documents import Found, Range
from couchapi.store.indexes import IndexState

_PAGE = 100
_ALL = Range("_design/", "_design0", inclusive_end=False)


def each(sql: Sql, database_id: int) -> Iterator[Found]:
    """Give the design documents of a database."""
    after: str | None = None
    while page := documents.page(sql, database_id, _ALL, after=after, skip=0, limit=_PAGE):
        yield from page
        after = page[-1].docid


def forget_unused(sql: Sql, db_name: str) -> int:
    """Take the indexes of views that are defined no more out of use; return how many."""
    database = databases.get(sql, db_name)
    return indexes.forget_all(sql, database.id, _used(sql, database.id))


def unused_size(sql: Sql, database_id: int) -> int:
    """Return the bytes of indexes of views that are defined no more."""
    used = _used(sql, database_id)
    return sum(
        state.size for state in indexes.of_database(sql, database_id) if state.signature not in used
    )


def _used(sql: Sql, database_id: int) -> set[str]:
    used = set()
    for found in each(sql, database_id):
        design = orjson.loads(found.body)
        used.add(mapreduce.group(design).signature)
        used |= {index.signature for index in mangoindex.of_design(found.docid, design)}
    return used


class Built(NamedTuple):
    """What a design document defines that is indexed, and its index once there is one."""

    docid: str
    language: str
    names: Sequence[str]
    state: IndexState | None


def built(sql: Sql, database_id: int) -> list[Built]:
    """Return the indexes of a database, by design document: one for all its views."""
    found = []
    for one in each(sql, database_id):
        design = orjson.loads(one.body)
        for mango in mangoindex.of_design(one.docid, design):
            state = indexes.find(sql, database_id, mango.signature)
            found.append(Built(one.docid, mangoindex.LANGUAGE, [mango.name], state))
        group = mapreduce.group(design)
        if group.views and group.language != mangoindex.LANGUAGE:
            state = indexes.find(sql, database_id, group.signature)
            found.append(Built(one.docid, group.language, sorted(group.views), state))
    return found


def mango_indexes(sql: Sql, database_id: int, visible: Visible | None = None) -> list[Index]:
    """Return the Mango indexes of a database, as far as the caller may see what defines them."""
    return [
        index
        for found in each(sql, database_id)
        if visible is None or visible(found.docid, found.rev, found.body)
        for index in mangoindex.of_design(found.docid, orjson.loads(found.body))
    ]
