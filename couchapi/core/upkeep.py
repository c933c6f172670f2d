"""When a database is measured, and when it is compacted without being asked.

Measuring reads every body's length, so it is done when there is reason to think that it has
changed; compacting rewrites, so it is done when it gives much back, in bytes and in proportion.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_HOUR: Final = 3600
_MINUTE: Final = 60


class Sizes(NamedTuple):
    """What a database takes, in bytes."""

    documents: int = 0
    """Bodies that somebody can still ask for: those of leaves."""
    old_bodies: int = 0
    """Bodies of revisions that others followed."""
    attachments: int = 0
    """Those that leaves have."""
    old_attachments: int = 0
    history: int = 0
    """Revision trees: which revisions there were."""
    indexes: int = 0
    local_documents: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)

    @property
    def reclaimable(self) -> int:
        """What compacting gives back."""
        return self.old_bodies + self.old_attachments


class Measured(NamedTuple):
    """Sizes, and when they were so."""

    seq: int
    at: int
    """Unix seconds."""
    sizes: Sizes


class Threshold(NamedTuple):
    """Compaction is due from so many bytes, if they are so many per cent of all."""

    size: int
    percent: float


def is_stale(measured: Measured | None, update_seq: int, now: int) -> bool:
    """Tell whether a database is to be measured: after an hour, or when it has changed a lot."""
    if measured is None:
        return True
    changed = update_seq - measured.seq
    return changed > 0 and (now - measured.at >= _HOUR or changed > 1000 + measured.seq // 10)


def is_worth_a_look(measured: Measured | None, update_seq: int, now: int) -> bool:
    """Tell whether somebody who looks should see it measured anew: once a minute, if it changed."""
    if measured is None:
        return True
    return update_seq > measured.seq and now - measured.at >= _MINUTE


def is_compaction_due(sizes: Sizes, threshold: Threshold) -> bool:
    """Tell whether old revisions take so much that it is worth the work."""
    held = sizes.documents + sizes.attachments + sizes.reclaimable
    return sizes.reclaimable >= max(threshold.size, held * threshold.percent / 100)
