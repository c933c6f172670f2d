"""Writing documents: what their database's own functions say of them, then the transaction.

`validate_doc_update` is JavaScript, and nobody may wait for that while the database is locked.  So
documents are judged before, by the design documents of a sequence number, and the transaction is
told which: when they have changed in between, it does nothing and the documents are judged again.
A database without such functions pays nothing for this.

What the hub writes by itself is not asked about: the resolver's revisions (core/lww.py) are copies
of what was judged, or deletions that every hub has to make alike.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson

from acl import sql
from acl import store as acl_store
from acl.core.errors import HubError
from couchapi import javascript, uploads
from couchapi.core import names, proposed, revtree, told
from couchapi.core.errors import (
    CompilationError,
    Conflict,
    ForbiddenWrite,
    FunctionFailed,
    NotFound,
)
from couchapi.core.incoming import Uploaded
from couchapi.core.params import DocumentQuery
from couchapi.core.revid import RevId
from couchapi.javascript import Program
from couchapi.reader import STUBS, opened_revisions
from couchapi.store import databases, designs, documents, local_documents, space, writes
from couchapi.store.databases import DatabaseRow
from couchapi.store.documents import Found
from couchapi.store.writes import Author, Designs, DesignsChanged, Write, Written

_TRIES = 10
_KEPT = 10_000
_OLD = DocumentQuery(revs=True)


class _Rules(NamedTuple):
    """The functions that judge what is written to a database."""

    designs: Designs
    programs: tuple[tuple[str, Program], ...]


_rules: dict[str, _Rules] = {}


async def store(db_name: str, batch: Sequence[Write], author: Author) -> list[Written]:
    """Write the batch, and return what became of each write, in their order.

    The large attachments among it are stored before.  Raises StorageFull, which deletions do not
    meet, and what `writes.write` raises.
    """
    await space.require(deleting=all(one.deleted for one in batch))
    if db_name == names.REPLICATOR and not author.is_owner:
        batch = [_wish(one, author) for one in batch]
    now_ms = time.time_ns() // 1_000_000
    ready, aside = await uploads.set_aside(batch, author.key)
    async with uploads.adopting(aside):
        for _ in range(_TRIES):
            rules = _rules.get(db_name) or await _load(db_name)
            refused = await _judge(db_name, rules, ready, author) if rules.programs else {}
            admitted = [one for at, one in enumerate(ready) if at not in refused]
            job = partial(
                _write_all,
                db_name=db_name,
                batch=admitted,
                author=author,
                now_ms=now_ms,
                designs=rules.designs,
            )
            try:
                written = iter(await sql.write(job))
            except DesignsChanged:
                _rules.pop(db_name, None)
                continue
            return [
                (one.docid, refused[at]) if at in refused else next(written)
                for at, one in enumerate(ready)
            ]
    raise Conflict("The design documents of this database keep changing. Try again.")


def _wish(one: Write, author: Author) -> Write:
    """Return what an application wishes as its own: by that it sees it, and is it judged.

    Raises ForbiddenWrite for what is no edit of its own.
    """
    if names.is_local(one.docid):
        return one
    if one.path is not None or names.is_design(one.docid):
        raise ForbiddenWrite("Here an application writes documents of its own alone.")
    body = orjson.dumps({**orjson.loads(one.body), "owner": author.key})
    return one._replace(body=body)


async def attach(
    db_name: str,
    docid: str,
    base: RevId | None,
    name: str,
    uploaded: Uploaded | None,
    author: Author,
) -> RevId | HubError:
    """Write a revision with one attachment more, or with None one less."""
    one = await sql.scan(
        partial(
            writes.attaching,
            db_name=db_name,
            docid=docid,
            base=base,
            name=name,
            uploaded=uploaded,
        )
    )
    if isinstance(one, HubError):
        return one
    ((_, result),) = await store(db_name, [one], author)
    return result


def _write_all(
    connection: sql.Sql,
    db_name: str,
    batch: Sequence[Write],
    author: Author,
    now_ms: int,
    designs: Designs,
) -> list[Written]:
    """Write the batch; local documents among it go where they belong."""
    ordinary = [one for one in batch if not names.is_local(one.docid)]
    written = writes.write(connection, db_name, ordinary, author, now_ms, designs)
    if len(ordinary) == len(batch):
        return written
    rest = iter(written)
    return [
        _write_local(connection, db_name, one, author) if names.is_local(one.docid) else next(rest)
        for one in batch
    ]


def _write_local(connection: sql.Sql, db_name: str, one: Write, author: Author) -> Written:
    owner = local_documents.namespace(author.key, author.is_owner)
    docid = one.docid.removeprefix("_local/")
    if not one.deleted:
        rev = local_documents.write(connection, db_name, owner, docid, one.body)
        return one.docid, RevId(0, str(rev))
    try:
        local_documents.delete(connection, db_name, owner, docid)
    except NotFound as error:
        return one.docid, error
    return one.docid, RevId(0, "0")


# -- judging ---------------------------------------------------------------------------------------


async def _load(db_name: str) -> _Rules:
    rules = await sql.scan(partial(_read_rules, db_name=db_name))
    if len(_rules) >= _KEPT:
        _rules.clear()
    _rules[db_name] = rules
    return rules


def _read_rules(connection: sql.Sql, db_name: str) -> _Rules:
    database = databases.get(connection, db_name)
    programs = [
        (found.docid, Program(str(database.id), found.body))
        for found in designs.each(connection, database.id)
        if b'"validate_doc_update"' in found.body and _judges(orjson.loads(found.body))
    ]
    return _Rules(Designs(database.id, database.design_seq), tuple(programs))


def _judges(design: Mapping[str, object]) -> bool:
    # CouchDB's own replicator databases hold an empty one.
    return bool(design.get("validate_doc_update"))


async def _judge(
    db_name: str, rules: _Rules, batch: Sequence[Write], author: Author
) -> dict[int, HubError]:
    """Return which writes of the batch are refused, by their place, and why."""
    asked = await sql.scan(partial(_read_pairs, db_name=db_name, batch=batch))
    if not asked.pairs:
        return {}
    context = told.user_context(db_name, author.key, author.groups, author.is_owner)
    user = orjson.dumps(context)
    refused: dict[int, HubError] = {}
    for docid, program in rules.programs:
        left = {at: pair for at, pair in asked.pairs.items() if at not in refused}
        judged = await _ask(docid, program, list(left.values()), user, asked.security)
        refused |= {at: error for at, error in zip(left, judged, strict=True) if error}
    return refused


async def _ask(
    docid: str,
    program: Program,
    pairs: list[tuple[bytes, bytes | None]],
    user: bytes,
    security: bytes,
) -> list[HubError | None]:
    try:
        judged = await javascript.validate(program, pairs, user, security)
    except (CompilationError, FunctionFailed) as error:
        return [_broken(docid, error)] * len(pairs)
    return [_broken(docid, one) if isinstance(one, FunctionFailed) else one for one in judged]


def _broken(docid: str, error: HubError) -> ForbiddenWrite:
    # A rule that cannot be asked lets nothing in.  Design documents are not asked about, so who
    # may write them can mend it.
    return ForbiddenWrite(
        f"validate_doc_update of {docid} failed: {error.reason} Nothing can be written until that"
        " design document is replaced or deleted."
    )


class _Asked(NamedTuple):
    """What the functions are asked about: new and old text of the writes, by their place."""

    pairs: dict[int, tuple[bytes, bytes | None]]
    security: bytes


def _read_pairs(connection: sql.Sql, db_name: str, batch: Sequence[Write]) -> _Asked:
    database = databases.get(connection, db_name)
    docids = {one.docid for one in batch if not names.is_local(one.docid)}
    found = documents.find_many(connection, database.id, list(docids))
    pairs = {}
    for at, one in enumerate(batch):
        if names.is_local(one.docid) or names.is_design(one.docid):
            continue
        pair = _pair(connection, one, found.get(one.docid))
        if pair is not None:
            pairs[at] = pair
    return _Asked(pairs, orjson.dumps(security_of(connection, database)))


def security_of(connection: sql.Sql, database: DatabaseRow) -> dict[str, Any]:
    """Return the database's `_security` object: what functions know as `secObj`."""
    held = acl_store.members_of(connection, db_name=database.name)
    return {**orjson.loads(database.security), **held}


def _pair(
    connection: sql.Sql, one: Write, found: Found | None
) -> tuple[bytes, bytes | None] | None:
    """Return the new and the old text; None for what is here already, or is a conflict anyway."""
    tree = revtree.EMPTY if found is None else revtree.decode(found.tree)
    if one.path is None:
        revs = revtree.ancestry(tree, one.base) if one.base else []
        if one.base is not None and one.base not in revtree.leaves(tree):
            return None
        parents = revs[:1]
    else:
        revs = list(one.path)
        if revs[0] in tree and tree[revs[0]].has_body:
            return None
        parents = [rev for rev in revs[1:] if rev in tree]
    new = proposed.text(one.docid, revs, one.body, deleted=one.deleted, attachments=one.attachments)
    return new, _old(connection, found, parents)


def _old(connection: sql.Sql, found: Found | None, parents: Sequence[RevId]) -> bytes | None:
    """Return the nearest of the ancestors whose body is kept."""
    if found is None or not parents:
        return None
    opened = {
        one.rev: one.text
        for one in opened_revisions(connection, found, parents, _OLD, STUBS, None)
        if not isinstance(one, RevId | HubError)
    }
    return next((opened[str(rev)] for rev in parents if str(rev) in opened), None)
