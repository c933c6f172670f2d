"""Which documents the holder of a grant with a selector sees."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import mango, visibility
from couchapi.core.errors import BadRequest

bodies = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))
selectors = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), min_size=1)


def _sees(given: Any, body: Any, docid: str = "d", rev: str = "1-a") -> bool:
    visible = visibility.of_selectors(given)
    assert visible is not None
    return visible(docid, rev, orjson.dumps(body))


def test_without_selectors_everything_is_seen() -> None:
    assert visibility.of_selectors(None) is None


def test_no_selector_shows_nothing() -> None:
    assert not _sees((), {"a": 1})


def test_an_empty_selector_shows_everything() -> None:
    assert _sees(({},), {})


@given(st.lists(selectors, min_size=1, max_size=3), bodies)
def test_one_matching_selector_is_enough(several: list[Any], body: Any) -> None:
    each = [bool(mango.compile(one)({**body, "_id": "d", "_rev": "1-a"})) for one in several]
    assert _sees(several, body) is any(each)


@given(bodies)
def test_a_member_that_is_not_there_never_matches(body: Any) -> None:
    for selector in ({"z": 1}, {"z": {"$ne": 1}}, {"$not": {"z": 1}}):
        assert not _sees((selector,), body)


def test_ids_and_revisions_can_be_selected() -> None:
    assert _sees(({"_id": {"$regex": "^mine"}},), {}, docid="mine-1")
    assert not _sees(({"_id": {"$regex": "^mine"}},), {}, docid="yours")
    assert _sees(({"_rev": "2-b"},), {}, rev="2-b")


def test_a_document_cannot_say_that_it_has_another_id() -> None:
    assert not _sees(({"_id": "mine"},), {"_id": "mine"}, docid="yours")


def test_a_selector_that_is_none_is_refused() -> None:
    with pytest.raises(BadRequest):
        visibility.of_selectors(({"a": {"$no": 1}},))
