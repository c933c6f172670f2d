"""Django's record of the app."""

from django.apps import AppConfig


class ThalihubConfig(AppConfig):
    """The whole."""

    name = "thalihub"
    verbose_name = "Hub"
