"""Which documents a caller sees: all, or those that match a selector of one of its read grants.

Such a principal sees the database as if only the matching documents existed
(design/access-control.md), so the test stands where rows are read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from couchapi.core import mango

Visible = Callable[[str, str, bytes], bool]
"""Tells for (docid, rev, body) whether the caller may see it."""


def of_selectors(selectors: Sequence[Mapping[str, Any]] | None) -> Visible | None:
    """Return the test for these selectors, of which one has to match; None: everything is seen."""
    if selectors is None:
        return None
    return _compiled(orjson.dumps(list(selectors)))


@functools.lru_cache(maxsize=256)
def _compiled(selectors: bytes) -> Visible:
    matchers = [mango.compile(selector) for selector in orjson.loads(selectors)]

    def visible(docid: str, rev: str, body: bytes) -> bool:
        document = {**orjson.loads(body), "_id": docid, "_rev": rev}
        return any(matches(document) for matches in matchers)

    return visible
