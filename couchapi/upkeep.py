"""Keeping databases small: measuring what they take, and compacting, by itself or when asked.

A worker does it in slices.  What goes on is a row with how far it is, so that anybody can look, and
end it; what a killed worker left is begun again.
"""

from __future__ import annotations

import contextlib
import logging
import time
from functools import partial

from django.conf import settings

from acl import sql
from couchapi.core import upkeep
from couchapi.core.errors import DatabaseMissing
from couchapi.core.upkeep import Threshold
from couchapi.store import databases, maintenance, sizes, works
from couchapi.store.works import Kind

_log = logging.getLogger(__name__)


def compact(db_name: str) -> None:
    """Forget the bodies of old revisions of one database, unless that goes on already."""
    try:
        work = sql.write_sync(partial(_begin, db_name=db_name))
        if work is None:
            return
        try:
            after: str | None = ""
            while after is not None:
                after = sql.write_sync(partial(_slice, db_name=db_name, after=after, work=work))
        finally:
            sql.write_sync(partial(works.end, work=work))
        measure(db_name)
    except DatabaseMissing:
        _log.info("%s was deleted while it was compacted.", db_name)


def measure(db_name: str) -> None:
    """Measure what a database takes; raises DatabaseMissing."""
    database = sql.read_sync(partial(databases.get, name=db_name))
    found = sql.read_sync(partial(sizes.measure, database_id=database.id))
    note = partial(sizes.note, database_id=database.id, seq=database.update_seq, sizes=found)
    sql.write_sync(partial(note, now=_now()))


def look_after() -> None:
    """Go on with what was left, measure what has changed, and compact where that is due."""
    for work in sql.read_sync(partial(works.left, now=_now())):
        compact(work.db_name)
    known = sql.read_sync(sizes.measured)
    for database in sql.read_sync(databases.everything):
        if upkeep.is_stale(known.get(database.id), database.update_seq, _now()):
            _look_at(database.name)


def changed() -> list[str]:
    """Return the databases to be measured anew for somebody who looks at them now."""
    known = sql.read_sync(sizes.measured)
    return [
        one.name
        for one in sql.read_sync(databases.everything)
        if upkeep.is_worth_a_look(known.get(one.id), one.update_seq, _now())
    ]


def catch_up() -> None:
    """Measure them."""
    for name in changed():
        with contextlib.suppress(DatabaseMissing):  # It has just been deleted.
            measure(name)


def _look_at(db_name: str) -> None:
    threshold = Threshold(settings.HUB_COMPACT_BYTES, settings.HUB_COMPACT_PERCENT)
    try:
        measure(db_name)
        database = sql.read_sync(partial(databases.get, name=db_name))
        measured = sql.read_sync(sizes.measured)[database.id]
    except DatabaseMissing:
        return
    if upkeep.is_compaction_due(measured.sizes, threshold):
        compact(db_name)


def _begin(connection: sql.Sql, db_name: str) -> int | None:
    database = databases.get(connection, db_name)
    total = database.doc_count + database.doc_del_count
    return works.begin(connection, database.id, Kind.COMPACTION, total, _now())


def _slice(connection: sql.Sql, db_name: str, after: str, work: int) -> str | None:
    last, done = maintenance.compact_slice(connection, db_name, after)
    return last if works.advance(connection, work, done, _now()) else None


def _now() -> int:
    return int(time.time())
