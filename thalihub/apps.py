"""Django's record of the app."""

from django.apps import AppConfig


class ThalihubConfig(AppConfig):
    """The whole."""

    name = "thalihub"
    verbose_name = "Hub"

    def ready(self) -> None:
        """Register the system checks."""
        from thalihub import checks  # noqa: F401
