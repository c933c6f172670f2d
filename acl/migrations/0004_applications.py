"""Tokens of applications, which are a part of the ACLs, and when they were used, which is not."""

import functools
import importlib

import django.db.models.deletion
from django.db import migrations, models

_triggers = importlib.import_module("acl.migrations.0002_version_triggers")
_TABLES = ("acl_applicationtoken",)


class Migration(migrations.Migration):
    dependencies = [("acl", "0003_words_of_constraints")]

    operations = [
        migrations.CreateModel(
            name="ApplicationToken",
            fields=[
                (
                    "principal",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="token",
                        serialize=False,
                        to="acl.principal",
                    ),
                ),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("made_at", models.BigIntegerField(help_text="Unix seconds.")),
                (
                    "expires_at",
                    models.BigIntegerField(help_text="Unix seconds; empty for never.", null=True),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ApplicationUse",
            fields=[
                (
                    "principal",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="use",
                        serialize=False,
                        to="acl.principal",
                    ),
                ),
                ("used_at", models.BigIntegerField(help_text="Unix seconds.")),
            ],
        ),
        migrations.RunPython(
            functools.partial(_triggers.make, tables=_TABLES),
            functools.partial(_triggers.drop, tables=_TABLES),
        ),
    ]
