"""The routes of the API listener."""

from couchapi.urls import urlpatterns

__all__ = ["urlpatterns"]
