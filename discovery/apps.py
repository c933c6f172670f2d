"""Django's record of the app."""

from django.apps import AppConfig


class DiscoveryConfig(AppConfig):
    """Finding a principal and connecting to it."""

    name = "discovery"
    verbose_name = "Discovery"
