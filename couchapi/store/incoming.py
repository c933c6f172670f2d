"""Attachments of a document that is being written: what came becomes what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from acl.sql import Sql
from couchapi.core import attached
from couchapi.core.attached import Attached
from couchapi.core.errors import MissingStub
from couchapi.core.incoming import Incoming, Inline, Stub, Uploaded
from couchapi.store import attachments, documents

if TYPE_CHECKING:
    from couchapi.store.writes import Author


def keep(
    sql: Sql,
    given: Mapping[str, Incoming],
    document: tuple[int, str],
    bases: Iterable[str],
    generation: int,
    author: Author,
    now_ms: int,
) -> tuple[dict[str, Attached], int]:
    """Return the attachments of a new revision of this generation, and how many bytes are new.

    `document` is its number in the tables, and its id.  A stub refers to an attachment of one of
    the revisions `bases`, nearest first.  Raises MissingStub where there is none, or none that the
    author may know of: else naming a digest would tell a writer without the right to read what is
    stored (design/access-control.md).
    """
    kept: dict[str, Attached] = {}
    known = _Known(sql, document, bases) if _has_stub(given) else None
    new = partial(attachments.store, sql, uploader=author.key, now=now_ms // 1000)
    for name, one in given.items():
        if isinstance(one, Stub):
            assert known is not None
            kept[name] = known.find(name, one, author)
        elif isinstance(one, Inline):
            blob, revpos = new(one.content), one.revpos or generation
            kept[name] = Attached(blob, one.content_type, one.digest, len(one.content), revpos)
        else:
            blob = one.content if isinstance(one.content, int) else new(one.content)
            kept[name] = _uploaded(one, blob, generation)
    return kept, attachments.adopt(sql, kept.values(), document[0])


def as_given(text: bytes | None) -> dict[str, Incoming]:
    """Return the attachments that a revision keeps, to be given to the next one as they are."""
    return {
        name: Uploaded(
            one.blob,
            one.content_type,
            one.digest,
            one.length,
            one.revpos,
            one.encoding,
            one.encoded_length,
        )
        for name, one in attached.decode(text).items()
    }


def _has_stub(given: Mapping[str, Incoming]) -> bool:
    return any(isinstance(one, Stub) for one in given.values())


def _uploaded(one: Uploaded, blob: int, generation: int) -> Attached:
    return Attached(
        blob=blob,
        content_type=one.content_type,
        digest=one.digest,
        length=one.length,
        revpos=one.revpos or generation,
        encoding=one.encoding,
        encoded_length=one.encoded_length,
    )


class _Known:
    """The attachments that a document's stored revisions have."""

    def __init__(self, sql: Sql, document: tuple[int, str], bases: Iterable[str]) -> None:
        self._sql = sql
        self._document_id, self._docid = document
        rows = sql.all(
            "SELECT rev, attachments FROM couchapi_revision"
            " WHERE document_id = %s AND attachments IS NOT NULL",
            (self._document_id,),
        )
        kept = {rev: attached.decode(text) for rev, text in rows}
        self._nearest_first = [(rev, kept[rev]) for rev in bases if rev in kept]

    def find(self, name: str, stub: Stub, author: Author) -> Attached:
        for rev, of_revision in self._nearest_first:
            one = of_revision.get(name)
            if one is not None and stub.digest in (None, one.digest):
                if self._may_see(rev, author) or self._sent_by(one, author):
                    return one
                break
        raise MissingStub(f"Invalid attachment stub in the document for {name}")

    def _may_see(self, rev: str, author: Author) -> bool:
        if author.visible is None or not author.may_read:
            return author.may_read
        one = documents.bodies(self._sql, self._document_id, [rev])[rev]
        return author.visible(self._docid, rev, one.body)

    def _sent_by(self, one: Attached, author: Author) -> bool:
        return attachments.uploaders(self._sql, [one.blob]).get(one.blob) == author.key
