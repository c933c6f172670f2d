"""What Mango answers when it cannot do what was asked: CouchDB's words and reasons."""

from __future__ import annotations

from couchapi.core.errors import BadRequest


class MangoError(BadRequest):
    """A request that Mango cannot read; each mistake has a word of its own."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(reason)
        self.word = word


class InvalidKey(BadRequest):
    """A member of the request that Mango does not know."""

    word = "invalid_key"


class MissingKey(BadRequest):
    """A member that the request must have."""

    word = "missing_required_key"


class InvalidIndex(BadRequest):
    """The definition of an index that cannot be read."""

    word = "invalid_index"


class InvalidBookmark(BadRequest):
    """A bookmark of another query, or none at all."""

    word = "invalid_bookmark"
    reason = "Invalid bookmark value."


class NoUsableIndex(BadRequest):
    """No index serves the query, and it cannot be answered without one."""

    word = "no_usable_index"
    reason = "No index exists for this sort, try indexing by the sort fields."
