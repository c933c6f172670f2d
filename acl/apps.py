"""Django's record of the app."""

from django.apps import AppConfig


class AclConfig(AppConfig):
    """Who is who, and who may do what."""

    name = "acl"
    verbose_name = "People and sharing"
