"""Indexes, with ids compared by their bytes as in 0002."""

from __future__ import annotations

import couchapi.models
import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def compare_bytes(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Set the collation; SQLite compares bytes already."""
    if editor.connection.vendor == "postgresql":
        for table in ("couchapi_indexrow", "couchapi_segment"):
            editor.execute(f'ALTER TABLE {table} ALTER COLUMN docid TYPE text COLLATE "C"')


class Migration(migrations.Migration):
    """Make the tables."""

    dependencies = [
        ("couchapi", "0002_bytewise_ids"),
    ]

    operations = [
        migrations.CreateModel(
            name="Index",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("signature", models.TextField()),
                ("language", models.TextField(help_text="javascript, or query for Mango.")),
                (
                    "seq",
                    models.BigIntegerField(
                        default=0, help_text="The update_seq that it is built to."
                    ),
                ),
                ("purge_seq", models.BigIntegerField(default=0)),
                ("size", models.BigIntegerField(default=0, help_text="Bytes of keys and values.")),
                (
                    "last_error",
                    models.TextField(
                        default="",
                        help_text="JSON: the last document that could not be mapped, and why.",
                    ),
                ),
                (
                    "database",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="couchapi.database",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="IndexRow",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "index",
                        "view",
                        "sortkey",
                        "docid",
                        "n",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("view", models.IntegerField(help_text="Which of the index's views.")),
                ("sortkey", models.BinaryField(help_text="core/sortkey.py")),
                ("docid", models.TextField()),
                (
                    "n",
                    models.IntegerField(
                        help_text="Which of the rows that the document has in this view."
                    ),
                ),
                ("key", models.BinaryField(help_text="JSON")),
                ("value", models.BinaryField(help_text="JSON")),
                (
                    "index",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="couchapi.index",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Segment",
            fields=[
                ("id", couchapi.models.RowId(primary_key=True, serialize=False)),
                ("view", models.IntegerField()),
                ("sortkey", models.BinaryField()),
                ("docid", models.TextField()),
                ("n", models.IntegerField()),
                ("row_count", models.IntegerField()),
                (
                    "seq",
                    models.BigIntegerField(help_text="The index's, when a row here changed last."),
                ),
                (
                    "reductions",
                    models.BinaryField(help_text="JSON: of each reduce function.", null=True),
                ),
                (
                    "index",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="couchapi.index",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="index",
            constraint=models.UniqueConstraint(
                fields=("database", "signature"), name="index_by_signature"
            ),
        ),
        migrations.AddIndex(
            model_name="indexrow",
            index=models.Index(fields=["index", "docid"], name="indexrow_by_docid"),
        ),
        migrations.AddConstraint(
            model_name="segment",
            constraint=models.UniqueConstraint(
                fields=("index", "view", "sortkey", "docid", "n"), name="segment_by_start"
            ),
        ),
        migrations.RunPython(compare_bytes, migrations.RunPython.noop),
    ]
