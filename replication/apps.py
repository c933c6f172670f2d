"""Django's record of the app."""

from django.apps import AppConfig


class ReplicationConfig(AppConfig):
    """Who replicates what, and when."""

    name = "replication"
    verbose_name = "Replication"

    def ready(self) -> None:
        """Listen to news of the apps below."""
        from replication.books import receivers  # noqa: F401
