"""Ids are compared by their bytes, as CouchDB does, whatever the locale of the PostgreSQL server."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_COLUMNS = (
    ("couchapi_document", "docid"),
    ("couchapi_localdocument", "docid"),
    ("couchapi_database", "name"),
)


def compare_bytes(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Set the collation; SQLite compares bytes already."""
    if editor.connection.vendor == "postgresql":
        for table, column in _COLUMNS:
            editor.execute(f'ALTER TABLE {table} ALTER COLUMN {column} TYPE text COLLATE "C"')


class Migration(migrations.Migration):
    """Set the collation of ids."""

    dependencies = [("couchapi", "0001_initial")]
    operations = [migrations.RunPython(compare_bytes, migrations.RunPython.noop)]
