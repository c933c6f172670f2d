"""The routes of the API listener: CouchDB's first, which are asked for most."""

from couchapi.urls import urlpatterns as databases
from discovery.urls import urlpatterns as pairing
from replication.urls import urlpatterns as replication

urlpatterns = [*databases, *replication, *pairing]

__all__ = ["urlpatterns"]
