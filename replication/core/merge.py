"""Keeping two sets of entries alike: the hub's tables, and the documents of a database.

Both may change at any time, one by this hub's commands and pages, the other by another device of
the same person.  What tells a change from what is merely different is a third set: what the tables
held when both were last alike (their *fingerprints*).  An entry that only one side has changed
goes to the other.  Where both have, this hub's own change is the later one as far as it can know,
so the tables win.  Where nothing was ever agreed it depends on the hub: on a device that is new the
documents win, they are what its person has had for longer; on the hub that took the device in, the
tables do.

An entry that could not be taken over whole (a group's member is not known yet) is tried again by
the same rule: the tables' fingerprint is noted as it came out, and the document still differs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Steps:
    """What makes both sides alike; None is an entry to delete."""

    to_documents: Mapping[str, Entry | None]
    to_tables: Mapping[str, Entry | None]


def fingerprint(entry: Entry | None) -> str | None:
    """Return a short text that is the same for equal entries."""
    if entry is None:
        return None
    text = json.dumps(entry, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def steps(
    tables: Mapping[str, Entry],
    documents: Mapping[str, Entry],
    agreed: Mapping[str, str],
    *,
    is_first: bool = False,
) -> Steps:
    """Return what has to be written where; `is_first`: this hub takes others in."""
    to_documents: dict[str, Entry | None] = {}
    to_tables: dict[str, Entry | None] = {}
    for name in sorted({*tables, *documents, *agreed}):
        ours, theirs = tables.get(name), documents.get(name)
        if ours == theirs:
            continue
        known = agreed.get(name)
        if known is None:
            tables_win = theirs is None or (is_first and ours is not None)
        else:
            tables_win = fingerprint(ours) != known
        if tables_win:
            to_documents[name] = ours
        else:
            to_tables[name] = theirs
    return Steps(to_documents, to_tables)


def agreement(tables: Mapping[str, Entry]) -> dict[str, str]:
    """Return the fingerprints to note after the steps are taken."""
    return {name: str(fingerprint(entry)) for name, entry in tables.items()}
