"""A copy is good when one of the client's tags is the answer's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import etags
from couchapi.core.errors import BadRequest


def test_tags_are_made_of_revisions_and_digests() -> None:
    assert etags.of_rev("1-a") == '"1-a"'
    assert etags.of_digest("md5-XUFAKrxLKna5cZ2REBfFkg==") == '"XUFAKrxLKna5cZ2REBfFkg=="'


@pytest.mark.parametrize(
    "header", ['"1-a"', 'W/"1-a"', '"0-x", "1-a"', '"0-x","1-a" ,', "*", ' "1-a" ', ', "1-a"']
)
def test_a_named_tag_is_fresh(header: str) -> None:
    assert etags.is_fresh(header, '"1-a"')


@pytest.mark.parametrize("header", [None, "", "1-a", '"1-b"', '"1-a', '"1-a" x', "w/*", ",", '"*"'])
def test_anything_else_is_not(header: str | None) -> None:
    assert not etags.is_fresh(header, '"1-a"')


@given(st.lists(st.from_regex(r'(W/)?"[a-z0-9=+/-]{0,5}"', fullmatch=True), max_size=4))
def test_a_list_of_tags_is_read(written: list[str]) -> None:
    assert etags.tags(", ".join(written)) == [tag.removeprefix("W/") for tag in written]


@pytest.mark.parametrize(
    ("rev", "if_match", "expected"),
    [
        (None, None, None),
        ("1-a", None, "1-a"),
        (None, '"1-a"', "1-a"),
        (None, "1-a", "1-a"),
        (None, 'W/"1-a"', "1-a"),
        ("1-a", '"1-a"', "1-a"),
    ],
)
def test_a_write_builds_on_the_revision_of_either_place(
    rev: str | None, if_match: str | None, expected: str | None
) -> None:
    assert etags.asked_rev(rev, if_match) == expected


def test_two_revisions_are_one_too_many() -> None:
    with pytest.raises(BadRequest, match="Document rev and etag have different values"):
        etags.asked_rev("1-a", '"1-b"')
    with pytest.raises(BadRequest, match="Invalid rev format"):
        etags.asked_rev(None, "*")
