"""Checkpoints: how far a replication has come, noted on both sides.

Each side keeps a local document with the sequence of the *source* up to which everything has
arrived, and a history of sessions.  When both notes are of one session, replication goes on where
it was.  When they are not (a run was cut off between the two, one side came back from a backup),
the newest session that both know tells from where both were still alike; without one it begins at
the beginning, which costs time and loses nothing (CouchDB docs, "replication/protocol", "Find
Common Ancestry").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = 4
MOST_SESSIONS = 50
BEGINNING: Any = 0

Note = Mapping[str, Any]
Sequence = Any
"""A source's sequence: opaque, a text or a number."""


@dataclass
class Session:
    """What one run has done so far; times are texts as CouchDB writes them (RFC 1123)."""

    session_id: str
    start_time: str
    start_last_seq: Sequence
    counts: dict[str, int] = field(default_factory=dict)


COUNTS = (
    "missing_checked",
    "missing_found",
    "docs_read",
    "docs_written",
    "doc_write_failures",
    "bulk_get_attempts",
    "bulk_get_docs",
)


def replication_id(ours: str, source: str, target: str, what: Mapping[str, Any]) -> str:
    """Return the name of the checkpoints of this replication.

    `ours` is who replicates; `what` are the options that decide which documents go over.
    """
    parts = [VERSION, ours, source, target, {name: what[name] for name in what if what[name]}]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def resume(source: Note | None, target: Note | None) -> Sequence:
    """Return the source's sequence from which to go on."""
    if source is None or target is None:
        return BEGINNING
    session = source.get("session_id")
    if session is not None and session == target.get("session_id"):
        return source.get("source_last_seq", BEGINNING)
    known = {one["session_id"]: one for one in _sessions(target)}
    for one in _sessions(source):
        if one["session_id"] in known:
            return one.get("recorded_seq", BEGINNING)
    return BEGINNING


def _sessions(note: Note) -> list[Mapping[str, Any]]:
    history = note.get("history")
    if not isinstance(history, list):
        return []
    return [one for one in history if isinstance(one, dict) and one.get("session_id")]


def updated(note: Note | None, session: Session, seq: Sequence, now: str) -> dict[str, Any]:
    """Return the note with what the session has done up to `seq`; newest sessions first."""
    entry = {
        "session_id": session.session_id,
        "start_time": session.start_time,
        "end_time": now,
        "start_last_seq": session.start_last_seq,
        "end_last_seq": seq,
        "recorded_seq": seq,
        **{name: session.counts.get(name, 0) for name in COUNTS},
    }
    before = [one for one in _sessions(note or {}) if one["session_id"] != session.session_id]
    return {
        "session_id": session.session_id,
        "source_last_seq": seq,
        "replication_id_version": VERSION,
        "history": [entry, *before][:MOST_SESSIONS],
    }
