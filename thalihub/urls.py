"""The pages, on their own port: Django's admin behind a login."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import path
from django.views.generic import RedirectView

# A hub has groups of its own, of people: those of logins would only confuse.
admin.site.unregister(Group)
admin.site.site_header = "Thali Device Hub"
admin.site.site_title = "Thali Device Hub"
admin.site.index_title = "Your data, and who may see it"
admin.site.site_url = None

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
]
