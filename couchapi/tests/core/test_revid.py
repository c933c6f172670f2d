"""Revision ids."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import revid
from couchapi.core.errors import BadRequest
from couchapi.core.revid import FIRST_STAMP, LAST_STAMP, MAX_POS, RevId

MS = st.integers(FIRST_STAMP, LAST_STAMP)
PARENT = RevId(3, "0123456789abcdef0123456789abcdef")
NOON = 1_750_000_000_000


@pytest.mark.parametrize("text", ["1-a", "3-0123456789abcdef0123456789abcdef", "12-x~!'\\", "1--"])
def test_a_rev_is_written_as_it_was_read(text: str) -> None:
    assert str(revid.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo",
        "1",
        "1-",
        "-1-a",
        "0-a",
        "01-a",
        "+1-a",
        " 1-a",
        "1-a\n",
        "1-a b",
        '1-"',
        "1-\x00",
        "1-é",
        "١-a",
        "1-\ud800",
        "9" * 16 + "-a",
        "1-" + "a" * 201,
        "1_0-a",
    ],
)
def test_what_is_no_rev_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Invalid rev format"):
        revid.parse(text)


def test_revisions_are_read_newest_first() -> None:
    assert revid.path(3, ["c", "b"]) == (RevId(3, "c"), RevId(2, "b"))


@pytest.mark.parametrize(
    ("start", "hashes"),
    [(1, []), (1, ["b", "a"]), (0, ["a"]), (-1, ["a"]), (2, ["a b", "c"]), (MAX_POS + 1, ["a"])],
)
def test_revisions_that_cannot_be_are_refused(start: int, hashes: list[str]) -> None:
    with pytest.raises(BadRequest, match="Invalid rev format"):
        revid.path(start, hashes)


def test_revs_sort_by_generation_then_by_hash() -> None:
    assert RevId(9, "f") < RevId(10, "a") < RevId(10, "b")


@given(MS, st.booleans(), st.binary(), st.lists(st.text("ab:"), max_size=3))
def test_a_minted_id_says_when_it_was_made(
    ms: int, deleted: bool, body: bytes, digests: list[str]
) -> None:
    rev = revid.mint(PARENT, deleted, body, digests, ms)
    assert revid.stamp_of(rev) == ms
    assert rev.pos == 4
    assert re.fullmatch("[0-9a-f]{32}", rev.hash)
    assert rev.hash.startswith(f"{ms:012x}")


def test_a_minted_id_is_laid_out_as_designed() -> None:
    # Computed once by hand from design/conflicts.md: other hubs must find the same bytes.
    assert str(revid.mint(None, False, b"{}", (), NOON)) == "1-01977420dc004b70a4597eb8d6ac772b"


def test_every_part_of_an_edit_makes_another_id() -> None:
    edits = [
        (None, False, b"{}", ()),
        (PARENT, False, b"{}", ()),
        (PARENT, True, b"{}", ()),
        (PARENT, False, b'{"a":1}', ()),
        (PARENT, False, b"{}", ("md5-x",)),
        (PARENT, False, b"{}", ("md5-x", "md5-y")),
    ]
    assert len({revid.mint(*edit, NOON) for edit in edits}) == len(edits)
    assert len({revid.plain(*edit) for edit in edits}) == len(edits)


@pytest.mark.parametrize("ms", [0, FIRST_STAMP - 1, LAST_STAMP + 1])
def test_a_stamp_that_nobody_would_take_for_one_is_not_minted(ms: int) -> None:
    with pytest.raises(ValueError, match="no stamp"):
        revid.mint(None, False, b"{}", (), ms)


@given(MS, st.integers(0, 31), st.sampled_from("0123456789abcdef"))
def test_a_changed_digit_is_no_stamp_but_by_chance(ms: int, at: int, digit: str) -> None:
    rev = revid.mint(None, False, b"{}", (), ms)
    changed = rev.hash[:at] + digit + rev.hash[at + 1 :]
    stamp = revid.stamp_of(RevId(1, changed))
    # The tag has 16 bits, so chance is small, and it cannot name another time than it shows.
    assert stamp in (None, int(changed[:12], 16))
    assert changed == rev.hash or stamp is None or at < 12 or at >= 16


@given(st.binary())
def test_ids_of_other_servers_have_no_stamp(body: bytes) -> None:
    assert revid.stamp_of(revid.plain(None, False, body, ())) is None


def test_only_small_letters_make_a_stamp() -> None:
    rev = revid.mint(None, False, b"{}", (), NOON)
    assert revid.stamp_of(RevId(1, rev.hash.upper())) is None
    assert revid.stamp_of(RevId(1, rev.hash + "0")) is None


def test_a_tag_far_in_the_future_is_no_stamp() -> None:
    """One foreign id in 65,536 bears the right tag, nearly all of them with absurd dates."""
    from hashlib import sha256

    when, digest = (200 * 365 * 86_400_000).to_bytes(6, "big"), bytes(8)
    tag = sha256(b"thali-stamp-1" + when + digest).digest()[:2]
    assert revid.stamp_of(RevId(1, (when + tag + digest).hex())) is None


@given(st.booleans(), st.binary())
def test_a_plain_id_is_the_same_for_the_same_edit(deleted: bool, body: bytes) -> None:
    one = revid.plain(PARENT, deleted, body, ())
    assert one == revid.plain(PARENT, deleted, body, ())
    assert one.pos == 4
    assert re.fullmatch("[0-9a-f]{32}", one.hash)


def test_the_last_generation_is_not_edited() -> None:
    deepest = RevId(MAX_POS, "a")
    with pytest.raises(BadRequest, match="too many generations"):
        revid.mint(deepest, False, b"{}", (), NOON)
    with pytest.raises(BadRequest, match="too many generations"):
        revid.plain(deepest, False, b"{}", ())
