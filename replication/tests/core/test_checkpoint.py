"""Checkpoints tell where a replication goes on, and never further than both sides know."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from replication.core import checkpoint
from replication.core.checkpoint import BEGINNING, Session

NOW = "Mon, 23 Nov 2026 07:00:00 GMT"


def _note(before: Any, session_id: str, seq: Any) -> dict[str, Any]:
    session = Session(session_id, NOW, 0, {"docs_written": 3})
    return checkpoint.updated(before, session, seq, NOW)


def test_a_note_is_as_couchdb_writes_it() -> None:
    note = _note(None, "s1", "7-x")
    assert note == {
        "session_id": "s1",
        "source_last_seq": "7-x",
        "replication_id_version": 4,
        "history": [
            {
                "session_id": "s1",
                "start_time": NOW,
                "end_time": NOW,
                "start_last_seq": 0,
                "end_last_seq": "7-x",
                "recorded_seq": "7-x",
                "missing_checked": 0,
                "missing_found": 0,
                "docs_read": 0,
                "docs_written": 3,
                "doc_write_failures": 0,
                "bulk_get_attempts": 0,
                "bulk_get_docs": 0,
            }
        ],
    }


def test_both_sides_of_one_session_go_on_where_it_was() -> None:
    note = _note(_note(None, "s1", 5), "s2", 9)
    assert checkpoint.resume(note, note) == 9


def test_of_a_run_that_was_cut_off_between_the_two_the_older_note_counts() -> None:
    first = _note(None, "s1", 5)
    assert checkpoint.resume(first, _note(first, "s2", 9)) == 5
    assert checkpoint.resume(_note(first, "s2", 9), first) == 5


def test_without_a_common_session_it_begins_at_the_beginning() -> None:
    assert checkpoint.resume(_note(None, "s1", 5), _note(None, "s2", 9)) == BEGINNING
    assert checkpoint.resume(None, _note(None, "s1", 5)) == BEGINNING
    assert checkpoint.resume({"session_id": None}, {"history": "odd"}) == BEGINNING


def test_a_session_has_one_entry_and_the_oldest_are_forgotten() -> None:
    note: Any = None
    for number in range(60):
        for seq in (number * 2, number * 2 + 1):
            note = _note(note, f"s{number}", seq)
    assert len(note["history"]) == checkpoint.MOST_SESSIONS
    assert [one["session_id"] for one in note["history"]][:2] == ["s59", "s58"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["source", "target", "both"]))))
def test_what_is_resumed_was_noted_by_both(runs: list[tuple[str, str]]) -> None:
    notes: dict[str, Any] = {"source": None, "target": None}
    arrived: dict[str, set[int]] = {"source": {0}, "target": {0}}
    for seq, (session_id, sides) in enumerate(runs, 1):
        for side in notes if sides == "both" else [sides]:
            notes[side] = _note(notes[side], f"{session_id}{seq // 3}", seq)
            arrived[side].add(seq)
    # What the source noted is never believed beyond what the target has noted itself.
    resumed = checkpoint.resume(notes["source"], notes["target"])
    assert resumed <= max(arrived["source"])
    assert resumed in arrived["source"]


def test_ids_tell_replications_apart() -> None:
    def named(**what: Any) -> str:
        return checkpoint.replication_id("us", "a", "b", what)

    assert named() == named(filter=None, doc_ids=None)
    assert named(filter="d/f") != named()
    assert checkpoint.replication_id("us", "b", "a", {}) != named()
    assert len(named()) == 32
