"""What a replication needs of each of its two ends, wherever that is.

A peer is one database.  Everything between two peers goes through these few questions, so the
replicator does not know which of them is far (design/replication.md, "The protocol").
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from couchapi.core import docjson


class Change(NamedTuple):
    """One row of the source's feed."""

    docid: str
    revs: tuple[str, ...]


class Changes(NamedTuple):
    """A page of the feed; `last_seq` is where the next one begins."""

    rows: Sequence[Change]
    last_seq: Any
    pending: int
    """How many rows may follow, as far as the source says."""
    is_last: bool


class Wanted(NamedTuple):
    """A revision that the target has not; `ancestors` are leaves there that it may follow."""

    docid: str
    rev: str
    ancestors: tuple[str, ...] = ()


class Fetched:
    """A document with its revisions, as JSON text or as `docjson.parse` gives it."""

    __slots__ = ("_text", "_value", "docid", "rev", "size")

    def __init__(
        self,
        docid: str,
        rev: str,
        *,
        text: bytes | None = None,
        value: Any = None,
        size: int | None = None,
    ) -> None:
        """`size`: about how many bytes it has, where the text is not there to tell."""
        self.size = size if size is not None else len(text or b"")
        self.docid = docid
        self.rev = rev
        self._text = text
        self._value = value

    @property
    def text(self) -> bytes:
        """As it goes over the wire."""
        if self._text is None:
            self._text = orjson.dumps(self._value)
        return self._text

    @property
    def value(self) -> Any:
        """As it is taken apart."""
        if self._value is None:
            self._value = docjson.parse(self._text or b"")
        return self._value


class Related(NamedTuple):
    """A document followed by contents of its attachments: a multipart/related body."""

    wanted: Wanted
    content_type: str
    pieces: AsyncIterator[bytes]


class Batch(NamedTuple):
    """What came of fetching: documents, and those whose attachments have to be fetched singly."""

    documents: list[Fetched]
    with_attachments: list[Wanted]
    failed: int = 0
    """How many were there and could not be read."""


class Failure(NamedTuple):
    """A document that the target refuses for good."""

    docid: str
    word: str
    reason: str


class Peer(Protocol):
    """One database, as a source or a target.

    Everything raises Retryable or Fatal.
    """

    name: str
    """Which database it is, the same at every run: part of the replication's id."""

    async def exists(self) -> bool:
        """Tell whether there is such a database that we may use."""

    async def create(self) -> None:
        """Make the database."""

    async def read_note(self, replication_id: str) -> Mapping[str, Any] | None:
        """Return the checkpoint's content, None where there is none."""

    async def write_note(self, replication_id: str, note: Mapping[str, Any]) -> None:
        """Keep the checkpoint."""

    async def changes(
        self, since: Any, params: Mapping[str, str], body: Mapping[str, Any] | None, limit: int
    ) -> Changes:
        """Return what follows `since`; an empty page when there is nothing."""

    async def missing(self, rows: Sequence[Change]) -> list[Wanted]:
        """Return the revisions that this database has not."""

    async def fetch(self, wanted: Sequence[Wanted], *, latest: bool = True) -> Batch:
        """Return the documents at these revisions, with stubs of attachments."""

    async def fetch_related(self, wanted: Wanted) -> Related | Fetched | None:
        """Return one document and the attachments that no ancestor has; None: it is gone."""

    async def write(self, documents: Sequence[Fetched]) -> list[Failure]:
        """Write revisions that were made elsewhere."""

    async def write_related(self, related: Related) -> Failure | None:
        """Write one revision with its attachments; raises MissingStub."""

    async def commit(self) -> None:
        """Make what was written durable."""
