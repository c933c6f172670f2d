"""Which documents a replication takes over, and how: CouchDB's options by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

WITH: Final = "with documents"
LATER: Final = "later"


@dataclass(frozen=True)
class Options:
    """CouchDB docs, "api/server/common", "_replicate"."""

    filter: str | None = None
    query_params: Mapping[str, str] = field(default_factory=dict)
    doc_ids: tuple[str, ...] | None = None
    selector: Mapping[str, Any] | None = None
    since_seq: Any = None
    winning_revs_only: bool = False
    create_target: bool = False
    attachments: str = WITH
    """When attachments come: with their documents, or `later`, when all others are there."""
    documents_only: bool = False
    """Only documents that have no attachments: the first pass of such a replication."""
    target: str = ""
    """URL of the database that stands in the place of one here; empty: it is one here."""

    def identity(self) -> dict[str, Any]:
        """Return what tells this replication from others between the same databases."""
        # The first pass has a checkpoint of its own: what it leaves out is still to come.
        first = {"documents_only": True} if self.documents_only else {}
        return first | {
            "filter": self.filter,
            "query_params": dict(self.query_params),
            "doc_ids": sorted(self.doc_ids) if self.doc_ids is not None else None,
            "selector": self.selector,
            "since_seq": self.since_seq,
            "winning_revs_only": self.winning_revs_only,
        }

    def feed(self) -> tuple[dict[str, str], dict[str, Any] | None]:
        """Return the parameters of `_changes`, and its body where it needs one."""
        params = {"style": "main_only" if self.winning_revs_only else "all_docs"}
        if self.doc_ids is not None:
            return params | {"filter": "_doc_ids"}, {"doc_ids": list(self.doc_ids)}
        if self.selector is not None:
            return params | {"filter": "_selector"}, {"selector": dict(self.selector)}
        if self.filter is not None:
            params |= {"filter": self.filter, **self.query_params}
        return params, None

    def text(self) -> bytes:
        """Return it as JSON."""
        more = {
            "create_target": self.create_target,
            "attachments": self.attachments,
            "target": self.target,
        }
        return orjson.dumps(self.identity() | more)
