"""A document as validate_doc_update sees it before it is written (CouchDB docs, "ddocs/ddocs").

It has the revision that it builds on, as in CouchDB, where the new one is not named yet; one that
was made elsewhere has its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from couchapi.core.incoming import Incoming, Inline, Stub
from couchapi.core.revid import RevId


def text(
    docid: str,
    revs: Sequence[RevId],
    body: bytes,
    *,
    deleted: bool = False,
    attachments: Mapping[str, Incoming] | None = None,
) -> bytes:
    """Return the JSON text of a document; `revs` are its revision and its ancestors."""
    members: dict[str, Any] = {"_id": docid}
    if revs:
        members["_rev"] = str(revs[0])
        members["_revisions"] = {"start": revs[0].pos, "ids": [rev.hash for rev in revs]}
    if deleted:
        members["_deleted"] = True
    if attachments:
        members["_attachments"] = {name: _stub(one) for name, one in attachments.items()}
    head = orjson.dumps(members)
    return head if body == b"{}" else head[:-1] + b"," + body[1:]


def _stub(one: Incoming) -> dict[str, Any]:
    if isinstance(one, Stub):
        return {"stub": True, "digest": one.digest, "revpos": one.revpos}
    length = len(one.content) if isinstance(one, Inline) else one.length
    return {
        "stub": True,
        "content_type": one.content_type,
        "digest": one.digest,
        "length": length,
        "revpos": one.revpos,
    }
