"""When databases are measured and compacted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import upkeep
from couchapi.core.upkeep import Measured, Sizes, Threshold

MIB = 1024**2
THRESHOLD = Threshold(16 * MIB, 30)
HOUR = 3600


@pytest.mark.parametrize(
    ("measured", "seq", "now", "stale"),
    [
        (None, 0, 0, True),
        (Measured(5, 0, Sizes()), 5, 10**9, False),
        (Measured(5, 0, Sizes()), 6, HOUR - 1, False),
        (Measured(5, 0, Sizes()), 6, HOUR, True),
        (Measured(5, 0, Sizes()), 2000, 1, True),
        (Measured(100_000, 0, Sizes()), 102_000, 1, False),
    ],
    ids=["never", "unchanged", "changed", "changed an hour ago", "much", "little of much"],
)
def test_what_has_changed_is_measured_again(
    measured: Measured | None, seq: int, now: int, stale: bool
) -> None:
    assert upkeep.is_stale(measured, seq, now) is stale


@pytest.mark.parametrize(
    ("measured", "seq", "now", "worth"),
    [
        (None, 0, 0, True),
        (Measured(5, 0, Sizes()), 5, HOUR, False),
        (Measured(5, 0, Sizes()), 6, 59, False),
        (Measured(5, 0, Sizes()), 6, 60, True),
    ],
    ids=["never", "unchanged", "just looked", "changed"],
)
def test_who_looks_sees_it_measured_once_a_minute(
    measured: Measured | None, seq: int, now: int, worth: bool
) -> None:
    assert upkeep.is_worth_a_look(measured, seq, now) is worth


@pytest.mark.parametrize(
    ("sizes", "due"),
    [
        (Sizes(documents=40 * MIB, old_bodies=20 * MIB), True),
        (Sizes(documents=40 * MIB, old_bodies=8 * MIB, old_attachments=12 * MIB), True),
        (Sizes(documents=MIB, old_bodies=15 * MIB), False),
        (Sizes(documents=200 * MIB, old_bodies=20 * MIB), False),
        (Sizes(attachments=200 * MIB, old_bodies=20 * MIB), False),
    ],
    ids=["old bodies", "old attachments", "few bytes", "small part", "small part of files"],
)
def test_compacting_is_due_where_it_gives_much_back(sizes: Sizes, due: bool) -> None:
    assert upkeep.is_compaction_due(sizes, THRESHOLD) is due


@given(st.builds(Sizes, *[st.integers(0, 2**40)] * 7))
@pytest.mark.slow
def test_what_was_compacted_is_not_due_again(sizes: Sizes) -> None:
    after = sizes._replace(old_bodies=0, old_attachments=0)
    assert not upkeep.is_compaction_due(after, THRESHOLD)
    assert after.total == sizes.total - sizes.reclaimable
