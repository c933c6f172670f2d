"""The routes of replication, on the API's port."""

from __future__ import annotations

from django.urls import path

from couchapi.endpoints.base import Endpoint
from replication import endpoints


def _route(pattern: str, endpoint: type[Endpoint]) -> object:
    return path(pattern, endpoint.as_view())


urlpatterns = [
    _route("_replicate", endpoints.Replicate),
    _route("_active_tasks", endpoints.ActiveTasks),
    _route("_scheduler/jobs", endpoints.SchedulerJobs),
    _route("_scheduler/jobs/<view:name>", endpoints.SchedulerJob),
    _route("_scheduler/docs", endpoints.SchedulerDocs),
]
