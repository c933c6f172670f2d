"""Let the database itself raise the ACL version: no way of writing can forget to.

The first number is random, so that a version of tables that were emptied or restored is never
taken for an older one of the same process.  SQLite drops a table's triggers when a migration
rebuilds the table: such a migration must call `make` again (acl/tests/test_version.py notices).
"""

from django.db import migrations

TABLES = ("acl_principal", "acl_group", "acl_membership", "acl_grant", "acl_allowedorigin")

_RAISE = (
    "INSERT INTO acl_aclversion (id, number) VALUES (1, {random}) "
    "ON CONFLICT (id) DO UPDATE SET number = acl_aclversion.number + 1;"
)


def make(apps, schema_editor, tables=TABLES):
    """Make the triggers, where they are not."""
    for statement in _statements(schema_editor.connection.vendor, tables):
        schema_editor.execute(statement)


def drop(apps, schema_editor, tables=TABLES):
    """Drop the triggers."""
    postgresql = schema_editor.connection.vendor == "postgresql"
    for table in tables:
        for event in ("change",) if postgresql else ("insert", "update", "delete"):
            on_table = f" ON {table}" if postgresql else ""
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_{event}{on_table}")


def _statements(vendor, tables):
    return _postgresql(tables) if vendor == "postgresql" else _sqlite(tables)


def _sqlite(tables):
    # abs(random()) could overflow; the remainder before it cannot.
    upsert = _RAISE.format(random="abs(random() % 1000000000000)")
    for table in tables:
        for event in ("insert", "update", "delete"):
            yield (
                f"CREATE TRIGGER IF NOT EXISTS {table}_{event} AFTER {event.upper()} ON {table} "
                f"BEGIN {upsert} END"
            )


def _postgresql(tables):
    upsert = _RAISE.format(random="floor(random() * 1000000000000)::bigint")
    yield (
        "CREATE OR REPLACE FUNCTION acl_raise_version() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {upsert} RETURN NULL; END $$"
    )
    for table in tables:
        yield (
            f"CREATE OR REPLACE TRIGGER {table}_change "
            f"AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION acl_raise_version()"
        )


class Migration(migrations.Migration):
    dependencies = [("acl", "0001_initial")]
    operations = [migrations.RunPython(make, drop)]
