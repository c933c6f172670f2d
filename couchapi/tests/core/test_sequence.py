"""A reader never misses a change, whatever happened to the database since it last asked."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import sequence
from couchapi.core.errors import BadRequest

EPOCHS = [("a", 0), ("b", 11), ("c", 31)]


def test_clients_find_the_number_in_front() -> None:
    text = sequence.format(57, "x-1_Y")
    assert int(text.split("-")[0]) == 57


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("0", 0),
        (0, 0),
        ("17", 17),
        (17, 17),
        ("35-c", 35),
        ('"35-c"', 35),
        ('[35,"c"]', 35),
        ('[35 , "c"]', 35),
        ("30-b", 30),
        ("31-b", 30),
        ("99-b", 30),
        ("7-a", 7),
        ("99-a", 10),
        ("99-lost", 0),
        ("0-lost", 0),
    ],
)
def test_a_reader_goes_on_where_its_epoch_is_still_true(since: str | int, expected: int) -> None:
    assert sequence.resume(since, EPOCHS) == expected


def test_now_is_the_newest_number_and_nobody_has_seen_more() -> None:
    assert sequence.resume("now", EPOCHS, 40) == 40
    assert sequence.resume("99-c", EPOCHS, 40) == 40
    assert sequence.resume(99, EPOCHS, 40) == 40


def test_the_number_can_be_read_alone() -> None:
    assert sequence.number('"57-x"') == 57
    assert sequence.number(57) == 57
    with pytest.raises(BadRequest):
        sequence.number("x")


@pytest.mark.parametrize(
    "since",
    ["", "x", "-1", "1-", "-a", "1.5", "1e3", "1 -a", "٣", "1-a b", '"', '""', "[1]", "[]", "null"]
    + ["1-é", "9" * 5000, "9" * 19, -1, True, "now", "1-a\n"],
)
def test_garbage_is_refused_in_couchdbs_words(since: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        sequence.resume(since, EPOCHS)
    assert refused.value.reason == "Malformed sequence supplied in 'since' parameter."


@given(st.text(max_size=12))
def test_any_text_is_a_number_or_garbage(since: str) -> None:
    with suppress(BadRequest):
        assert 0 <= sequence.resume(since, EPOCHS, 40) <= 40


class Hub:
    """A database in which every write has a content of its own, with backups."""

    def __init__(self) -> None:
        self.log: list[int] = []
        self.epochs: list[tuple[str, int]] = [("e0", 0)]
        self.made = 0
        self.started = 0

    def write(self) -> None:
        self.made += 1
        self.log.append(self.made)

    def restore(self, log: list[int], epochs: list[tuple[str, int]]) -> None:
        self.started += 1
        self.log = list(log)
        self.epochs = [*epochs, (f"e{self.started}", len(log) + 1)]

    @property
    def last_seq(self) -> str:
        return sequence.format(len(self.log), self.epochs[-1][0])


@given(st.lists(st.sampled_from(["write", "write", "backup", "restore", "read"]), max_size=40))
def test_a_reader_has_seen_all_that_it_is_not_sent_again(steps: list[str]) -> None:
    hub = Hub()
    backup: tuple[list[int], list[tuple[str, int]]] = ([], list(hub.epochs))
    since, seen = "0", set[int]()
    for step in [*steps, "read"]:
        if step == "write":
            hub.write()
        elif step == "backup":
            backup = (list(hub.log), list(hub.epochs))
        elif step == "restore":
            hub.restore(*backup)
        else:
            seen.update(hub.log[sequence.resume(since, hub.epochs, len(hub.log)) :])
            since = hub.last_seq
            assert seen.issuperset(hub.log)
