"""The routes of the API listener: CouchDB's first, which are asked for most."""

from django.urls import path

from couchapi.urls import urlpatterns as databases
from discovery.urls import urlpatterns as pairing
from replication.urls import urlpatterns as replication
from thalihub.metrics import Metrics

urlpatterns = [
    *databases,
    *replication,
    *pairing,
    path("_node/<str:node>/_prometheus", Metrics.as_view()),
]

__all__ = ["urlpatterns"]
