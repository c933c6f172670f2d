"""One range of bytes is answered as such; anything else is the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import ranges
from couchapi.core.errors import RangeNotSatisfiable


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-3", 0, 4),
        ("bytes=2-2", 2, 3),
        ("bytes=4-", 4, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-99", 0, 10),
        ("bytes=5-99", 5, 10),
        ("BYTES = 0 - 3 ", 0, 4),
    ],
)
def test_one_range_is_taken(header: str, start: int, stop: int) -> None:
    taken = ranges.parse(header, 10)
    assert taken == ranges.ByteRange(start, stop, 10)
    assert taken.length == stop - start
    assert taken.content_range == f"bytes {start}-{stop - 1}/10"


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes=", "bytes=-", "bytes=0-1,3-4", "bytes=3-1", "bytes=a-b", "lines=0-1"]
    + ["bytes=--1", "bytes=1", "bytes=٣-", "bytes=0-" + "9" * 5000],
)
def test_anything_else_is_the_whole(header: str | None) -> None:
    assert ranges.parse(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=10-", 10), ("bytes=11-12", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)],
)
def test_a_range_without_a_byte_is_refused(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable):
        ranges.parse(header, size)
    assert ranges.unsatisfied(10) == "bytes */10"


@given(st.integers(0, 12), st.integers(0, 12), st.binary(min_size=1, max_size=10))
def test_the_bytes_are_those_between_both_ends(first: int, more: int, content: bytes) -> None:
    try:
        taken = ranges.parse(f"bytes={first}-{first + more}", len(content))
    except RangeNotSatisfiable:
        assert not content[first:]
    else:
        assert taken is not None
        assert content[taken.start : taken.stop] == content[first : first + more + 1]
