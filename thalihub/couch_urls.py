"""The routes of the API listener: CouchDB's first, which are asked for most."""

from couchapi.urls import urlpatterns as databases
from discovery.urls import urlpatterns as pairing

urlpatterns = [*databases, *pairing]

__all__ = ["urlpatterns"]
