"""The name of what is asked for: asked for twice, it is one replication."""

from __future__ import annotations

from replication import routing
from replication.core import checkpoint
from replication.core import job as words
from replication.core import request as requests
from replication.core.job import Mode, Wish


def rep_id(wish: Wish) -> str:
    """Return CouchDB's name for a replication."""
    source, target = map(words.shown, requests.ends(wish))
    name = checkpoint.replication_id(routing.ours(), source, target, wish.options.identity())
    suffix = "+continuous" if wish.mode is Mode.CONTINUOUS else ""
    return name + suffix + ("+create_target" if wish.options.create_target else "")
