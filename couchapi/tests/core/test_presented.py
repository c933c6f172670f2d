"""Tests of how documents are shown."""

from __future__ import annotations

import orjson
import pytest

from couchapi.core import presented, revtree
from couchapi.core.revid import RevId


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_the_revisions_of_a_stored_tree_are_those_of_the_tree(limit: int) -> None:
    path = [RevId(3, "cc"), RevId(2, "b\\"), RevId(1, "aa")]
    tree = revtree.stem(revtree.merge(revtree.EMPTY, path), limit)
    text = presented.revisions_text(revtree.encode(tree))
    assert orjson.loads(b"{%b}" % text) == {"_revisions": presented.revisions(tree, path[0])}
