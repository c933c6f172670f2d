"""Whether the database's tables are those of this version of the hub.

Who reads or writes those of another version finds columns missing, or loses what the newer version
keeps in its own.
"""

from __future__ import annotations

from django.db import connections
from django.db.migrations.loader import MigrationLoader

from acl.core.errors import RefusedError


def check_tables() -> None:
    """Raise RefusedError where an earlier or a newer version of the hub has made the tables."""
    check_not_newer()
    loader = MigrationLoader(connections["default"])
    if set(loader.graph.leaf_nodes()) - set(loader.applied_migrations or {}):
        raise RefusedError(
            "The tables are still those of an earlier version of the hub. Start the hub once: it "
            "brings them to their new form."
        )


def check_not_newer() -> None:
    """Raise RefusedError where a newer version of the hub has made the tables."""
    loader = MigrationLoader(connections["default"])
    ours = {app for app, _name in loader.graph.nodes}
    newer = sorted(
        f"{app} {name}"
        for app, name in set(loader.applied_migrations or {}) - set(loader.disk_migrations or {})
        if app in ours and (app, name) not in loader.replacements
    )
    if newer:
        raise RefusedError(
            f"The data is of a newer version of the hub ({newer[-1]}). Install that version again; "
            "or restore a backup that this one has made, into an empty folder."
        )
