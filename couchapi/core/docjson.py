"""JSON in and out without loss: a document comes back with the very numbers it was sent with.

orjson is the first judge.  It refuses invalid UTF-8, lone surrogates, NaN and numbers beyond a
double.  What it then writes is compared with what came in: when they are equal byte for byte,
nothing can have been lost and no member can have been named twice.  This is what JSON.stringify
sends, so nearly every request, a whole `_bulk_docs` body at once, takes this path.

Any other text is read again by the standard library, which shows every pair of an object and the
letters of every number; a number that would not come back as sent is kept as those letters.

Stored bodies hold no `_` member and are spliced into answers as they are (design/performance.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from couchapi.core import names, revid
from couchapi.core.errors import BadRequest, DocumentTooLarge, DocValidation
from couchapi.core.revid import RevId

MAX_DEPTH = 100
_ENVELOPE = 2
"""Levels around the documents of `_bulk_docs`."""
MAX_DOCUMENT = 8_000_000

_REV = re.compile(r"[0-9]{1,15}-[^\x00-\x20\"]{1,200}")
# What clients send back from an answer, and CouchDB drops (couch_doc:transfer_fields).
_DROPPED = frozenset({"_revs_info", "_conflicts", "_deleted_conflicts", "_local_seq"})
_KNOWN = _DROPPED | {"_id", "_rev", "_deleted", "_revisions", "_attachments"}
# CouchDB's replicator writes these into its documents, and keeps them as content.
_CONTENT = frozenset(
    f"_replication_{name}" for name in ("id", "state", "state_time", "state_reason", "stats")
)
_ID_ONLY = frozenset({"_id"})
_CONTAINERS = frozenset({dict, list})
_STRING = frozenset({str})


class Parts(NamedTuple):
    """A document taken apart.

    `revisions` are the revision and its ancestors, newest first, as `_revisions` names them.
    `rev` is the first of them when both were sent.
    """

    docid: str | None
    rev: str | None
    deleted: bool
    revisions: Sequence[RevId]
    attachments: dict[str, dict[str, Any]] | None
    body: bytes


def parse(raw: bytes) -> Any:
    """Return the JSON value of a body that is a document.

    Numbers that Python cannot hold as sent (`1e2`, `-0`, 30 digits) are `orjson.Fragment`s, which
    orjson writes as sent: do not compute with them, see `parse_plain`.  Raises BadRequest, also
    for a member named twice and for more than 100 levels.
    """
    value = _judge(raw, MAX_DEPTH)
    if orjson.dumps(value) == raw:
        return value
    return _LOSSLESS.decode(raw.decode())


def parse_batch(raw: bytes) -> Any:
    """Return the JSON value of a body with documents in an array, as `parse` does.

    Whatever PUT takes can be replicated, so the levels around the documents do not count; those
    in them are counted by `split`, which looks at each anyway.
    """
    value = _loads(raw)
    try:
        if orjson.dumps(value) == raw:
            return value
    except orjson.JSONEncodeError:  # More than 254 levels are too many for orjson too.
        raise _too_deep(MAX_DEPTH) from None
    _check_depth(value, MAX_DEPTH + _ENVELOPE)
    return _LOSSLESS.decode(raw.decode())


def parse_plain(raw: bytes) -> Any:
    """Return the JSON value of a body that is computed with: every number is an int or a float.

    Refuses what `parse` refuses.
    """
    value = _judge(raw, MAX_DEPTH)
    if orjson.dumps(value) != raw:
        _PLAIN.decode(raw.decode())  # only for its refusal of a member named twice
    return value


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a body that is computed with; raises BadRequest for others."""
    value = parse_plain(raw)
    if not isinstance(value, dict):
        raise BadRequest("Request body must be a JSON object")
    return value


def split(
    doc: object, docid_from_url: str | None = None, *, max_document: int = MAX_DOCUMENT
) -> Parts:
    """Take a parsed document apart; `doc` itself is not changed.

    The id of the URL wins over `_id`.  `docid` is None where neither names one.  Raises
    BadRequest, DocValidation, IllegalDocid, DocumentTooLarge (couch_doc:from_json_obj_validate).
    """
    if not isinstance(doc, dict):
        raise BadRequest("Document must be a JSON object")
    # The first comparison settles it for names of small letters, at a third of the price.
    special = [name for name in doc if name < "`" and name[:1] == "_" and name not in _CONTENT]
    content = doc.copy()
    for name in special:
        del content[name]
    docid = names.check_docid(doc["_id"]) if "_id" in doc else None
    if docid_from_url is not None:
        docid = docid_from_url
    body = orjson.dumps(content)
    if len(body) > max_document:
        raise DocumentTooLarge(docid)
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(content, MAX_DEPTH)
    if not _ID_ONLY.issuperset(special):
        return _split_special(doc, special, docid, body)
    return Parts(docid, None, False, (), None, body)


def splice(docid: str, rev: str, body: bytes, extra: bytes = b"") -> bytes:
    """Return the document as it is answered: `_id`, `_rev`, the members in `extra`, the body.

    `extra` is the JSON text of members with commas between them, as in `"_deleted":true`.
    """
    head = b'{"_id":' + orjson.dumps(docid) + b',"_rev":' + orjson.dumps(rev)
    if extra:
        head += b"," + extra
    return head + (b"}" if body == b"{}" else b"," + body[1:])


def check_rev(rev: object) -> str:
    """Return the text of a revision; raises BadRequest with CouchDB's reason."""
    if not isinstance(rev, str) or _REV.fullmatch(rev) is None:
        raise BadRequest("Invalid rev format")
    return rev


def _split_special(
    doc: dict[str, Any], special: list[str], docid: str | None, body: bytes
) -> Parts:
    if not _KNOWN.issuperset(special):
        unknown = next(name for name in special if name not in _KNOWN)
        raise DocValidation(f"Bad special document member: {unknown}")
    rev = doc.get("_rev")
    revisions = _revisions(doc["_revisions"]) if "_revisions" in doc else ()
    newest = str(revisions[0]) if revisions else None
    if "_rev" in doc and (newest is None or rev != newest):
        check_rev(rev)
    deleted = doc.get("_deleted", False)
    if not isinstance(deleted, bool):
        raise _bad_member("_deleted")
    attachments = _attachments(doc["_attachments"]) if "_attachments" in doc else None
    return Parts(docid, newest or rev, deleted, revisions, attachments, body)


def _revisions(value: object) -> Sequence[RevId]:
    if not isinstance(value, dict):
        raise _bad_member("_revisions")
    start, ids = value.get("start"), value.get("ids")
    if not isinstance(start, int) or isinstance(start, bool):
        raise DocValidation("_revisions.start isn't an integer.")
    if not isinstance(ids, list):
        raise DocValidation("_revisions.ids isn't a array.")
    if not _STRING.issuperset(map(type, ids)):
        raise DocValidation("RevId isn't a string")
    if start < len(ids):
        raise DocValidation("_revisions.start is less than the number of _revisions.ids.")
    return revid.path(start, ids) if ids else ()


def _attachments(value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise _bad_member("_attachments")
    for name, attachment in value.items():
        names.check_attachment_name(name)
        if not isinstance(attachment, dict):
            raise _bad_member("_attachments")
    return value


def _bad_member(name: str) -> DocValidation:
    # A known member of the wrong type falls through CouchDB's clauses to this same reason.
    return DocValidation(f"Bad special document member: {name}")


def _loads(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadRequest from None


def _judge(raw: bytes, levels: int) -> Any:
    value = _loads(raw)
    if raw.count(b"[") + raw.count(b"{") > levels:
        _check_depth(value, levels)
    return value


def _check_depth(value: object, levels: int) -> None:
    # Level by level instead of by recursion: a level is never larger than the text was.
    level: list[Any] = [[value]]
    for _ in range(levels + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) in _CONTAINERS
        ]
        if not level:
            return
    raise _too_deep(levels)


def _too_deep(levels: int) -> BadRequest:
    return BadRequest(f"{BadRequest.reason}: more than {levels} levels")


def _int(text: str) -> int | orjson.Fragment:
    number = int(text)  # at most 309 digits: more were infinite to the first judge
    exact = text != "-0" and -(2**63) <= number < 2**64
    return number if exact else orjson.Fragment(text)


def _float(text: str) -> float | orjson.Fragment:
    number = float(text)
    return number if orjson.dumps(number) == text.encode() else orjson.Fragment(text)


def _object(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise BadRequest(f"{BadRequest.reason}: duplicate key {json.dumps(name)}")
            seen.add(name)
    return members


_LOSSLESS = json.JSONDecoder(object_pairs_hook=_object, parse_int=_int, parse_float=_float)
# The numbers are read by orjson; here they only must not fail on 5,000 digits.
_PLAIN = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_float=str)
