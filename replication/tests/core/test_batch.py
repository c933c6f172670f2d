"""Batches keep everything, in order, within their limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replication.core import batch


@given(st.lists(st.integers(0, 20)), st.integers(1, 20), st.integers(1, 5))
def test_batches_keep_to_their_limits(sizes: list[int], most_bytes: int, most: int) -> None:
    cut = list(batch.cut(sizes, lambda size: size, most_bytes=most_bytes, most=most))
    assert [size for some in cut for size in some] == sizes
    assert all(len(some) == 1 or sum(some) <= most_bytes for some in cut)
    assert all(1 <= len(some) <= most for some in cut)
