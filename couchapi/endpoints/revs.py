"""What replicators ask about revisions (CouchDB docs, "api/database/misc")."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from django.http.response import HttpResponseBase

from acl import sql
from couchapi import parsers, reader, renderers
from couchapi.core import names, revid, revtree
from couchapi.core.errors import BadRequest
from couchapi.core.revid import RevId
from couchapi.core.visibility import Visible
from couchapi.endpoints.base import EITHER, Endpoint, visible_to
from couchapi.store import databases, documents

Asked = Mapping[str, list[str]]
"""Ids, and the revisions of each that are asked for."""


class RevsDiff(Endpoint):
    """`POST /db/_revs_diff`: which of these revisions are not here."""

    rights = {"POST": EITHER}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return the missing ones, and to readers which leaves they may descend from."""
        asked = await _asked(request)
        visible = visible_to(request) if request.permit.read else None
        ancestors = bool(request.permit.read)
        found = await sql.scan(
            lambda connection: diff(connection, db_name, asked, visible, ancestors)
        )
        return renderers.json(found)


class MissingRevs(Endpoint):
    """`POST /db/_missing_revs`: the older form of the same question."""

    rights = {"POST": EITHER}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return the missing revisions by document."""
        asked = await _asked(request)
        visible = visible_to(request) if request.permit.read else None
        found = await sql.scan(lambda connection: diff(connection, db_name, asked, visible, False))
        missing = {docid: row["missing"] for docid, row in found.items()}
        return renderers.json({"missing_revs": missing})


async def _asked(request: Any) -> Asked:
    parsers.require_json(request)
    body = await parsers.json_object(request)
    return {names.check_docid(docid): _revisions(revs) for docid, revs in body.items()}


def _revisions(revs: Any) -> list[str]:
    if not isinstance(revs, list) or not all(isinstance(rev, str) for rev in revs):
        raise BadRequest("Request body must be a JSON object of arrays of revisions")
    checked = [revid.check(rev) for rev in revs]
    return checked if len(checked) < 2 else list(dict.fromkeys(checked))


def diff(
    connection: sql.Sql, db_name: str, asked: Asked, visible: Visible | None, ancestors: bool
) -> dict[str, dict[str, list[str]]]:
    """Return what is missing of each document, and with `ancestors` what it may descend from."""
    database = databases.get(connection, db_name)
    known = _known(connection, database.id, list(asked), visible)
    rows = {}
    for docid, revs in asked.items():
        one = known.get(docid)
        if one is None:
            rows[docid] = {"missing": revs}
        elif revs != [one.rev]:  # Replicators nearly always ask for the winner.
            rows[docid] = _row(one, [revid.parse(rev) for rev in revs], ancestors)
    return {docid: row for docid, row in rows.items() if row["missing"]}


class _Known(NamedTuple):
    """What the caller may know of a document's revisions: the tree without `hidden` leaves."""

    rev: str
    tree: bytes
    hidden: Collection[RevId] = ()


def _known(
    connection: sql.Sql, database_id: int, docids: list[str], visible: Visible | None
) -> Mapping[str, _Known]:
    if visible is None:
        trees = documents.trees(connection, database_id, docids)
        return {docid: _Known(rev, tree) for docid, rev, tree in trees}
    found = documents.find_many(connection, database_id, docids)
    return {
        docid: _Known(one.rev, one.tree, _hidden(connection, one, visible))
        for docid, one in found.items()
        if visible(docid, one.rev, one.body)
    }


def _hidden(connection: sql.Sql, found: documents.Found, visible: Visible) -> Collection[RevId]:
    if found.leaf_count == 1:
        return ()
    leaves = revtree.leaves(revtree.decode(found.tree))
    return set(leaves).difference(reader.visible_leaves(connection, found, visible))


def _row(one: _Known, revs: list[RevId], ancestors: bool) -> dict[str, list[str]]:
    tree = revtree.decode(one.tree)
    unknown = set(revtree.missing(tree, revs))
    missing = [rev for rev in revs if rev in unknown or rev in one.hidden]
    row = {"missing": [str(rev) for rev in missing]}
    if ancestors:
        possible = {leaf for rev in missing for leaf in revtree.possible_ancestors(tree, rev)}
        possible.difference_update(one.hidden)
        if possible:
            row["possible_ancestors"] = [str(rev) for rev in sorted(possible)]
    return row
