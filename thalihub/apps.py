"""Django's record of the app."""

from django.apps import AppConfig


class ThalihubConfig(AppConfig):
    """The whole."""

    name = "thalihub"
    verbose_name = "Hub"

    def ready(self) -> None:
        """Register the system checks, and the Celery application that tasks are sent by."""
        from thalihub import celery, checks  # noqa: F401
