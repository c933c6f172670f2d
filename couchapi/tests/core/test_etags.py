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
@pytest.mark.parametrize("tag", ["1-a", '"1-a"'])
def test_a_named_tag_matches(header: str, tag: str) -> None:
    assert etags.matches(header, tag)


@pytest.mark.parametrize("header", [None, "", "1-a", '"1-b"', '"1-a', '"1-a" x', "w/*", ",", '"*"'])
def test_anything_else_does_not(header: str | None) -> None:
    assert not etags.matches(header, "1-a")


@given(st.lists(st.from_regex(r'(W/)?"[a-z0-9=+/-]{0,5}"', fullmatch=True), max_size=4))
def test_a_list_of_tags_is_read(written: list[str]) -> None:
    expected = [tag.removeprefix("W/").strip('"') for tag in written]
    assert etags.tags(", ".join(written)) == expected


@pytest.mark.parametrize("header", ['"1-a"', "1-a", 'W/"1-a"', ' "1-a" '])
def test_a_write_may_name_its_revision_in_a_header(header: str) -> None:
    assert etags.single(header) == "1-a"
    assert etags.single(None) is None


@pytest.mark.parametrize("header", ["", "*", '"*"', '"1-a","1-b"', '""', '1-a"1-b'])
def test_a_write_builds_on_one_revision_only(header: str) -> None:
    with pytest.raises(BadRequest, match="Invalid rev format"):
        etags.single(header)
