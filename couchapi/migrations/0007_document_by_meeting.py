"""The documents of which several versions have met are found without looking at the others."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the index."""

    dependencies = [("couchapi", "0006_local_only")]
    operations = [
        migrations.AddIndex(
            model_name="document",
            index=models.Index(
                fields=["database", "seq"],
                condition=models.Q(leaf_count__gt=1),
                name="document_by_meeting",
            ),
        ),
    ]
