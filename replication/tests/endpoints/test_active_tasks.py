"""What else goes on stands in `_active_tasks`, for the owner."""

from __future__ import annotations

from functools import partial

from acl import sql
from couchapi.store import databases, works
from couchapi.store.works import Kind


async def test_a_compaction_is_told_with_how_far_it_is(owner, api, database):
    number = (await sql.point(partial(databases.get, name=database[1:]))).id
    begin = partial(works.begin, database_id=number, kind=Kind.COMPACTION, total=8)
    now = 4_000_000_000
    work = await sql.write(partial(begin, now=now))
    await sql.write(partial(works.advance, work=work, done=2, now=now + 1))
    try:
        (task,) = (await owner.get("/_active_tasks")).json()
    finally:
        await sql.write(partial(works.end, work=work))
    assert task == {
        "type": "database_compaction",
        "node": "nonode@nohost",
        "pid": f"work-{work}",
        "database": database[1:],
        "progress": 25,
        "changes_done": 2,
        "total_changes": 8,
        "started_on": now,
        "updated_on": now + 1,
    }
    assert (await owner.get("/_active_tasks")).json() == []
