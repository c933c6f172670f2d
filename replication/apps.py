"""Django's record of the app."""

from django.apps import AppConfig


class ReplicationConfig(AppConfig):
    """Who replicates what, and when."""

    name = "replication"
    verbose_name = "Replication"
