"""Django's record of the app."""

from django.apps import AppConfig


class CouchapiConfig(AppConfig):
    """The CouchDB server."""

    name = "couchapi"
    verbose_name = "Databases"
