"""Contents of attachments may be files, and they count in the sizes of databases.

What is in rows stays there and is read there.
"""

from __future__ import annotations

from django.db import migrations, models

_COUNT = """
    UPDATE couchapi_database SET body_size = body_size + (
        SELECT coalesce(sum(b.length), 0) FROM couchapi_document d
        JOIN couchapi_blob b ON b.document_id = d.id WHERE d.database_id = couchapi_database.id
    )
"""


class Migration(migrations.Migration):
    """Give blobs the name of a file, and count those that are here."""

    dependencies = [("couchapi", "0003_indexes")]
    operations = [
        migrations.AddField(
            model_name="blob",
            name="file",
            field=models.TextField(default="", help_text="Its name; empty for a content in rows."),
        ),
        migrations.AlterField(
            model_name="blob",
            name="length",
            field=models.BigIntegerField(
                default=0, help_text="Bytes as stored, once it is adopted."
            ),
        ),
        migrations.AlterField(
            model_name="blob",
            name="created_at",
            field=models.BigIntegerField(help_text="Unix seconds; 0 if it is to be removed."),
        ),
        migrations.AlterField(
            model_name="database",
            name="body_size",
            field=models.BigIntegerField(default=0, help_text="Bytes of bodies and attachments."),
        ),
        migrations.RunSQL(_COUNT, migrations.RunSQL.noop),
    ]
