"""A database knows when its design documents changed last."""

from __future__ import annotations

from django.db import migrations, models

_FIND = """
    UPDATE couchapi_database SET design_seq = (
        SELECT coalesce(max(d.seq), 0) FROM couchapi_document d
        WHERE d.database_id = couchapi_database.id
        AND d.docid >= '_design/' AND d.docid < '_design0'
    )
"""


class Migration(migrations.Migration):
    """Add design_seq."""

    dependencies = [("couchapi", "0004_contents")]
    operations = [
        migrations.AddField(
            model_name="database",
            name="design_seq",
            field=models.BigIntegerField(
                default=0, help_text="The update_seq of the last change to a design document."
            ),
        ),
        migrations.RunSQL(_FIND, migrations.RunSQL.noop),
    ]
