"""Sequences as clients see them: `<integer>-<epoch>`, opaque but for the integer in front.

A number must never stand for two things.  When a database comes back from a backup, or lost its
tail in a crash, numbers that were handed out before would be used again; so it then begins a new
epoch, and each sequence names the epoch it was made in.  A `since` of an older epoch is still true
up to where the next epoch began; one of an epoch that we do not know, such as of the lost time
after the backup, is true nowhere, and its reader starts again (design/replication.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from couchapi.core.errors import BadRequest

MALFORMED = "Malformed sequence supplied in 'since' parameter."
NOW = "now"

Epochs = Sequence[tuple[str, int]]
"""(epoch, its first sequence number), oldest first."""

_DIGITS = r"([0-9]{1,18})"
_PLAIN = re.compile(_DIGITS)
_TEXT = re.compile(_DIGITS + r"-([A-Za-z0-9_-]{1,2000})")
_PAIR = re.compile(rf'\[{_DIGITS}\s*,\s*"([A-Za-z0-9_-]{{1,2000}})"\]')


def format(seq: int, epoch: str) -> str:
    """Return the text of a sequence; `epoch` is of letters, digits, `_` and `-`."""
    return f"{seq}-{epoch}"


def resume(since: str | int, epochs: Epochs, update_seq: int | None = None) -> int:
    """Return the number after which a reader who saw `since` has to go on; never more.

    Takes what `format` made, also in JSON quotes (CouchDB's replicator sends them) or as
    `[number, "epoch"]`; a bare number, which is believed; and "now" where `update_seq` tells the
    newest number.  Nobody has seen more than that.  Raises BadRequest.
    """
    if since == NOW and update_seq is not None:
        return update_seq
    seen, epoch = _read(since)
    if epoch is not None:
        seen = min(seen, _true_until(epoch, epochs, seen))
    return seen if update_seq is None else min(seen, update_seq)


def number(since: str | int) -> int:
    """Return the number in front of a sequence, of whatever epoch; raises BadRequest."""
    return _read(since)[0]


def _read(since: str | int) -> tuple[int, str | None]:
    if isinstance(since, int):
        if isinstance(since, bool) or since < 0:
            raise BadRequest(MALFORMED)
        return since, None
    text = since[1:-1] if len(since) > 1 and since[0] == since[-1] == '"' else since
    if _PLAIN.fullmatch(text):
        return int(text), None
    found = _TEXT.fullmatch(text) or _PAIR.fullmatch(text)
    if found is None:
        raise BadRequest(MALFORMED)
    return int(found[1]), found[2]


def _true_until(epoch: str, epochs: Epochs, seen: int) -> int:
    """Return the last number that means the same now as it did in `epoch`; 0 if that is unknown."""
    known = [name for name, _ in epochs]
    if epoch not in known:
        return 0
    later = [first for _, first in epochs[known.index(epoch) + 1 :]]
    return max(0, min(later) - 1) if later else seen
